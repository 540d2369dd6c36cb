internal import Glibc

exit(CommandLine.main(Swift.CommandLine.arguments).rawValue)
