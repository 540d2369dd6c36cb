// swift-tools-version: 6.2
// The house in floor order: a target may depend only on targets above it in this file (HouseTests holds this).

import Foundation
import PackageDescription

/// The settings every Swift target shares: one language mode, and no warning lets a build pass.
let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]

/// What a room holds.
enum Content {
  /// Values, mostly: in release the walls around it cost nothing at run time.
  case values
  /// Objects. Nobody outside sees their variables, and the compiler proves of most of them that no two accesses overlap; with the
  /// walls down it could not, and would check it at run time, which costs more than a call.
  case objects
}

func room(_ name: String, on floors: [Target.Dependency] = [], of content: Content = .values) -> Target {
  let open: [SwiftSetting] = [.unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))]
  return .target(name: name, dependencies: floors, swiftSettings: content == .values ? house + open : house)
}

/// Tests of a room; golden files, and programs that must not compile, lie beside them.
func test(_ name: String, of rooms: [Target.Dependency]) -> Target {
  let data = ["Golden", "Offences"].filter { FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Tests/\(name)/\($0)") }
  return .testTarget(name: name, dependencies: rooms, exclude: data, swiftSettings: house)
}

/// A libFuzzer target: it has no `main` of its own, so it exists only when FUZZ=1 asks for it.
func fuzz(_ name: String, of rooms: [Target.Dependency]) -> [Target] {
  guard Context.environment["FUZZ"] != nil else { return [] }
  return [
    .executableTarget(
      name: name, dependencies: rooms, path: "Tests/Fuzz/\(name)",
      swiftSettings: house + [.unsafeFlags(["-parse-as-library"])])
  ]
}

/// A benchmark, run by hand: BENCH=1 swift run -c release NAME
func bench(_ name: String, of rooms: [Target.Dependency]) -> [Target] {
  guard Context.environment["BENCH"] != nil else { return [] }
  return [.executableTarget(name: name, dependencies: rooms, path: "Tests/Benchmarks/\(name)", swiftSettings: house)]
}

let benchTargets: [Target] =
  ([
    bench("TokenCost", of: ["Bytes", "Crypto", "Development", "HTTP", "JOSE", "JSON", "Pipeline", "Telemetry"]),
    bench("HTTPBenchmark", of: ["HTTP"]),
    bench("CedarBenchmark", of: ["Cedar", "CedarSchema", "JSON"]),
  ] as [[Target]]).flatMap { $0 }

let fuzzTargets: [Target] =
  ([
    fuzz("FuzzRequestHead", of: ["HTTP"]),
    fuzz("FuzzResponseHead", of: ["HTTP"]),
    fuzz("FuzzChunked", of: ["HTTP"]),
    fuzz("FuzzTarget", of: ["HTTP"]),
    fuzz("FuzzProxyProtocol", of: ["HTTP"]),
    fuzz("FuzzTraceContext", of: ["HTTP"]),
    fuzz("FuzzPolicyText", of: ["Cedar"]),
    fuzz("FuzzEntitiesJSON", of: ["Cedar", "JSON"]),
    fuzz("FuzzCompiledVsInterpreter", of: ["Cedar"]),
    fuzz("FuzzConfiguration", of: ["Bytes", "HTTP", "JSON", "Pipeline"]),
    fuzz("FuzzJSON", of: ["JSON"]),
    fuzz("FuzzJWS", of: ["Bytes", "Crypto", "JOSE", "JSON"]),
    fuzz("FuzzJWKSet", of: ["JOSE"]),
    fuzz("FuzzProfileFile", of: ["AWS", "Bytes"]),
    fuzz("FuzzAuthorizationAnswer", of: ["AWS", "Cedar"]),
    fuzz("FuzzDPoP", of: ["Bytes", "Crypto", "JOSE", "JSON"]),
    fuzz("FuzzLoadBalancerToken", of: ["Bytes", "Crypto", "JOSE", "JSON"]),
    fuzz("FuzzIntrospection", of: ["Bytes", "JOSE"]),
    fuzz("FuzzSchemaText", of: ["Cedar", "CedarSchema"]),
    fuzz("FuzzSchemaJSON", of: ["CedarSchema", "JSON"]),
    fuzz("FuzzFormat", of: ["Bytes", "JSON", "Cedar"]),
    fuzz("FuzzPolicyJSON", of: ["Bytes", "JSON", "Cedar"]),
    fuzz("FuzzOpenAPI", of: ["Bytes", "CedarSchema", "Pipeline", "PolicyTools"]),
  ] as [[Target]]).flatMap { $0 }

let package = Package(
  name: "stockade",
  products: [
    .executable(name: "stockade", targets: ["stockade"]),
    .executable(name: "cedar-conformance", targets: ["cedar-conformance"]),
  ],
  targets: [
    // Ground: what Swift cannot import. Real C targets with opaque headers.
    .target(name: "CSystem", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),

    // Floor 1: materials.
    room("Bytes"),
    room("JSON", on: ["Bytes"]),
    room("Crypto", on: ["Bytes", "COpenSSL"]),

    // Floor 2: languages and protocols, without I/O, clocks or threads.
    room("HTTP", on: ["Bytes"]),
    room("JOSE", on: ["Bytes", "JSON", "Crypto"]),
    room("Cedar", on: ["Bytes", "JSON"]),
    room("CedarSchema", on: ["Bytes", "JSON", "Cedar"]),
    room("AWS", on: ["Bytes", "JSON", "Crypto", "Cedar"]),

    // Floor 3: I/O, threads and clocks; and what we tell the world.
    room("Net", on: ["Bytes", "HTTP", "CSystem", "COpenSSL"], of: .objects),
    room("Telemetry", on: ["Bytes", "JSON", "Crypto", "HTTP", "CSystem", "Net"], of: .objects),

    // Floor 4: the page (pure), and the development stand-ins.
    room("Pipeline", on: ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "AWS", "Telemetry"]),
    room("Development", on: ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Net"]),
    room("AWSClient", on: ["Bytes", "JSON", "HTTP", "AWS", "Net"]),

    // Floor 5: the product.
    room("PolicyTools", on: ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "AWS", "Telemetry", "Pipeline"]),
    room(
      "Proxy",
      on: [
        "Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "AWS", "Net", "Telemetry", "Pipeline", "PolicyTools", "AWSClient", "CSystem",
      ], of: .objects),
    room(
      "Fronts", on: ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "AWS", "Net", "Telemetry", "Pipeline"]),
    room("Admin", on: ["Bytes", "JSON", "HTTP", "Net", "Telemetry", "Pipeline"]),

    // Door.
    .executableTarget(
      name: "stockade",
      dependencies: [
        "Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "Net", "Telemetry", "Pipeline", "Development", "PolicyTools",
        "Proxy", "Fronts", "Admin", "AWS", "AWSClient",
        "CSystem",
      ], swiftSettings: house),
    .executableTarget(name: "cedar-conformance", dependencies: ["Bytes", "JSON", "Cedar", "CedarSchema"], swiftSettings: house),

    // Tests, one target a room.
    .target(name: "TestSupport", dependencies: ["Bytes", "JSON"], path: "Tests/Support", swiftSettings: house),
    test("BytesTests", of: ["Bytes", "TestSupport"]),
    test("JSONTests", of: ["Bytes", "JSON", "TestSupport"]),
    test("CryptoTests", of: ["Bytes", "JSON", "Crypto", "TestSupport"]),
    test("HTTPTests", of: ["Bytes", "JSON", "HTTP", "TestSupport"]),
    test("JOSETests", of: ["Bytes", "JSON", "Crypto", "JOSE", "TestSupport"]),
    test("CedarTests", of: ["Bytes", "JSON", "Cedar", "TestSupport"]),
    test("CedarSchemaTests", of: ["Bytes", "JSON", "Cedar", "CedarSchema", "TestSupport"]),
    test("AWSTests", of: ["Bytes", "JSON", "Crypto", "Cedar", "AWS", "TestSupport"]),
    test("NetTests", of: ["Bytes", "HTTP", "Net", "CSystem", "TestSupport"]),
    test("TelemetryTests", of: ["Bytes", "JSON", "HTTP", "Net", "Telemetry", "TestSupport"]),
    test("DevelopmentTests", of: ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Net", "Development", "TestSupport"]),
    test("AWSClientTests", of: ["Bytes", "JSON", "HTTP", "AWS", "Net", "AWSClient", "TestSupport"]),
    test(
      "PipelineTests",
      of: [
        "Development", "Net", "Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "AWS", "Telemetry", "Pipeline",
        "TestSupport",
      ]),
    test("PolicyToolsTests", of: ["Bytes", "JSON", "Cedar", "CedarSchema", "Telemetry", "Pipeline", "PolicyTools", "TestSupport"]),
    test(
      "ProxyTests",
      of: ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "Net", "Telemetry", "Pipeline", "Proxy", "CSystem", "TestSupport"]),
    test(
      "FrontsTests",
      of: ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "AWS", "Net", "Pipeline", "Fronts", "TestSupport"]),
    test("AdminTests", of: ["Bytes", "JSON", "HTTP", "Net", "Telemetry", "Pipeline", "Admin", "TestSupport"]),
    test("HouseTests", of: ["JOSE", "Pipeline", "TestSupport"]),
  ]
    // Fuzz targets, one a parser (FUZZ=1 only).
    + fuzzTargets + benchTargets
)
