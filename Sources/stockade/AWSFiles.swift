internal import AWS
internal import Bytes
internal import FoundationEssentials
internal import Proxy

/// The environment and the profile files of AWS, where the AWS CLI finds them.
enum AWSFiles {
  static func read() -> AWSSurroundings {
    let variables = ProcessInfo.processInfo.environment
    let home = variables["HOME"] ?? "/"
    do throws(ProfileError) {
      return AWSSurroundings(
        environment: variables, config: try file(variables["AWS_CONFIG_FILE"] ?? "~/.aws/config", home, .config),
        credentials: try file(variables["AWS_SHARED_CREDENTIALS_FILE"] ?? "~/.aws/credentials", home, .credentials), mistake: nil)
    } catch {
      return AWSSurroundings(environment: variables, config: nil, credentials: nil, mistake: error)
    }
  }

  // A file that is not there says nothing.
  private static func file(_ name: String, _ home: String, _ kind: ProfileFile.Kind) throws(ProfileError) -> ProfileFile {
    let path = name.hasPrefix("~/") ? home + name.dropFirst() : name
    guard let data = FileManager.default.contents(atPath: path) else { return .absent(path) }
    return try ProfileFile.parse(SourceText(name: path, bytes: data), kind)
  }
}
