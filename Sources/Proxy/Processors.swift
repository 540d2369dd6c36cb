internal import Glibc

/// How many processors this process may use.
func systemProcessorCount() -> Int { max(Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), 1) }
