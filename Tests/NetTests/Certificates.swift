import Bytes
import Foundation
import Net
import Testing

/// Certificates made for one test run by the openssl command: a root, and leaves that are right or wrong in one way.
struct Certificates {
  let folder: URL

  /// Made once.
  static let shared: Result<Certificates, any Error> = Result { try Certificates() }

  private init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("net-certificates-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try makeRoot("root")
    try makeRoot("other-root")
    try makeLeaf("good", names: "DNS:localhost,DNS:api.example,IP:127.0.0.1")
    try makeLeaf("wrong-name", names: "DNS:elsewhere.example,DNS:*.apps.example,IP:10.0.0.1,IP:fd00::1")
    try makeLeaf("no-name", names: nil)
    try makeLeaf("many-names", names: (0..<20).map { "DNS:n\($0).example" }.joined(separator: ","))
    try makeLeaf(
      "client", names: "DNS:client.example,URI:spiffe://example.org/ns/a,IP:10.1.2.3,IP:fd00::9,email:a@example.org,RID:1.2.3",
      purpose: "clientAuth")
    try makeLeaf("strange", names: "DNS:localhost", root: "other-root")
    try makeLeaf("wildcard", names: "DNS:*.svc.internal")
    try run([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "self.key", "-out", "self.pem",
      "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
    ])
  }

  func pem(_ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: folder.appendingPathComponent(name)))
  }

  func identity(_ name: String) throws -> TLSContext.Identity {
    TLSContext.Identity(chain: try pem("\(name).pem"), key: Secret(try pem("\(name).key")))
  }

  func server(_ name: String) throws -> TLSContext { try TLSContext(serverWith: identity(name)) }

  var client: TLSContext { get throws { try TLSContext(clientTrusting: .pem(pem("root.pem"))) } }

  private func makeRoot(_ name: String) throws {
    try run([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "\(name).key", "-out",
      "\(name).pem", "-days", "3650", "-subj", "/CN=Test \(name)",
    ])
  }

  private func makeLeaf(_ name: String, names: String?, purpose: String = "serverAuth", root: String = "root") throws {
    try run([
      "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "\(name).key", "-out", "\(name).csr",
      "-subj", "/CN=localhost",
    ])
    let extensions = "extendedKeyUsage=\(purpose)\n" + (names.map { "subjectAltName=\($0)\n" } ?? "")
    try extensions.write(to: folder.appendingPathComponent("\(name).ext"), atomically: true, encoding: .utf8)
    try run([
      "x509", "-req", "-in", "\(name).csr", "-CA", "\(root).pem", "-CAkey", "\(root).key", "-CAcreateserial", "-days", "30",
      "-extfile", "\(name).ext", "-out", "\(name).pem",
    ])
  }

  func run(_ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.standardError = Pipe()
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "openssl \(arguments.joined(separator: " "))")
  }
}

extension Certificates {
  /// A list by the root that revokes one certificate of it, or none.
  func revocationList(revoking name: String?) throws -> [UInt8] {
    let directory = folder.appendingPathComponent("ca-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    func path(_ file: String) -> String { directory.appendingPathComponent(file).path }
    try "".write(toFile: path("index.txt"), atomically: true, encoding: .utf8)
    let configuration = """
      [ca]
      default_ca = it
      [it]
      database = \(path("index.txt"))
      default_md = sha256
      default_crl_days = 30

      """
    try configuration.write(toFile: path("ca.cnf"), atomically: true, encoding: .utf8)
    let authority = ["ca", "-config", path("ca.cnf"), "-cert", "root.pem", "-keyfile", "root.key"]
    if let name { try run(authority + ["-revoke", "\(name).pem"]) }
    try run(authority + ["-gencrl", "-out", path("list.pem")])
    return try Array(Data(contentsOf: directory.appendingPathComponent("list.pem")))
  }
}
