extension Layer {
  /// The cell of a value, everything in it numbered.
  func cell(_ value: Value) -> Cell {
    switch value {
    case .bool(let flag): return Cell(flag)
    case .long(let number): return Cell(.long, number)
    case .string(let text): return Cell(.string, number: string(text))
    case .entity(let uid): return Cell(.entity, number: self.uid(uid))
    case .decimal(let number): return Cell(.decimal, number.scaled)
    case .ip(let address): return Cell(.ip, number: self.address(address))
    case .datetime(let instant): return Cell(.datetime, instant.milliseconds)
    case .duration(let span): return Cell(.duration, span.milliseconds)
    case .unknown(let unknown): return Cell(.unknown, number: self.unknown(unknown))
    case .set(let set):
      var cells = set.elements.map(cell)
      return Cell(.set, number: cells.withUnsafeMutableBufferPointer { self.set($0) })
    case .record(let record): return Cell(.record, number: self.record(record))
    }
  }

  /// The number of a record, everything in it numbered.
  func record(_ record: Record) -> Int32 {
    let count = record.fields.count
    if count <= 16 {
      return withUnsafeTemporaryAllocation(of: Field.self, capacity: max(count, 1)) { buffer in
        for index in 0..<count {
          buffer.initializeElement(at: index, to: Field(key: string(record.fields[index].key), cell: cell(record.fields[index].value)))
        }
        return self.record(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      }
    }
    var fields = record.fields.map { Field(key: string($0.key), cell: cell($0.value)) }
    return fields.withUnsafeMutableBufferPointer { self.record($0) }
  }

  /// The value of a cell.
  func value(_ cell: Cell) -> Value {
    switch cell.tag {
    case .bool: .bool(cell.isTrue)
    case .long: .long(cell.bits)
    case .string: .string(text(ofString: cell.number))
    case .entity: .entity(value(ofUID: cell.number))
    case .set: .set(ValueSet(elements(ofSet: cell.number).map(value)))
    case .record: .record(value(ofRecord: cell.number))
    case .decimal: .decimal(Decimal(scaled: cell.bits))
    case .ip: .ip(address(number: cell.number))
    case .datetime: .datetime(Datetime(milliseconds: cell.bits))
    case .duration: .duration(Duration(milliseconds: cell.bits))
    case .unknown: .unknown(unknown(number: cell.number))
    }
  }

  /// A numbered record.
  func value(ofRecord number: Int32) -> Record {
    Record(lastWins: fields(ofRecord: number).map { Record.Field(text(ofString: $0.key), value($0.cell)) })
  }

  /// What messages call the kind of a cell.
  func typeName(_ cell: Cell) -> String {
    switch cell.tag {
    case .bool: "bool"
    case .long: "long"
    case .string: "string"
    case .entity: "(entity of type `\(text(ofString: type(ofUID: cell.number)))`)"
    case .set: "set"
    case .record: "record"
    case .decimal: "decimal"
    case .ip: "ipaddr"
    case .datetime: "datetime"
    case .duration: "duration"
    case .unknown: "unknown"
    }
  }
}
