/// How many columns text takes in a terminal, Unicode Standard Annex #11 with the sequences that change it.
///
/// Two things are measured with it: the underline below a source line, and the line width of the Cedar formatter, whose
/// reference counts this way. ASCII is one column a byte, whatever the byte.
public enum DisplayWidth {
  /// The columns of a text.
  public static func columns(_ text: String) -> Int {
    var text = text
    return text.withUTF8 { bytes in bytes.allSatisfy { $0 < 0x80 } ? bytes.count : nil } ?? columns(scalars: text.unicodeScalars)
  }

  /// The columns of a sequence of scalars.
  public static func columns(scalars: some Sequence<Unicode.Scalar>) -> Int {
    var total = 0
    var last: Unicode.Scalar?
    // The column count before `last`, which a joiner or a selector behind it may replace.
    var beforeLast = 0
    var joined = false
    var previous: UInt32 = 0
    for scalar in scalars {
      defer {
        if scalar.value != zeroWidthJoiner { joined = false }
        previous = scalar.value
      }
      if let base = last {
        switch scalar.value {
        case emojiSelector where base.value == previous && base.properties.isEmoji && !(0x1f1e6...0x1f1ff).contains(base.value):
          total = beforeLast + 2
          continue
        case textSelector
        where base.value == previous && base.properties.isEmojiPresentation && !(0x1f200...0x1f2ff).contains(base.value)
          && !(0x1f3fb...0x1f3ff).contains(base.value):
          total = beforeLast + 1
          continue
        case 0x1f3fb...0x1f3ff where base.properties.isEmojiModifierBase:
          total = beforeLast + 2
          continue
        case zeroWidthJoiner:
          joined = true
          continue
        case 0x0a where base.value == 0x0d:
          last = scalar
          continue
        case 0x622, 0x623, 0x625, 0x627:
          // Lam and alef are written as one letter.
          if base.value == 0x644 {
            last = scalar
            continue
          }
        default: break
        }
        if joined, base.properties.isEmoji, scalar.properties.isEmoji, scalar.value > 0xff {
          total = beforeLast + 2
          last = scalar
          continue
        }
      }
      let width = columns(of: scalar)
      if width > 0 {
        last = scalar
        beforeLast = total
      }
      total += width
    }
    return total
  }

  /// The columns of one scalar standing alone: 0, 1 or 2 (a single oddity of Khmer takes 3).
  public static func columns(of scalar: Unicode.Scalar) -> Int {
    let value = scalar.value
    if value < 0xa0 { return 1 }
    if value < 0x300 { return value == 0xad ? 0 : 1 }
    if isZero(scalar) { return 0 }
    if value == 0x17a4 { return 2 }
    if value == 0x17d8 { return 3 }
    var low = 0
    var high = wide.count / 2
    while low < high {
      let middle = (low + high) / 2
      if value < wide[2 * middle] {
        high = middle
      } else if value > wide[2 * middle + 1] {
        low = middle + 1
      } else {
        return 2
      }
    }
    return 1
  }

  private static let zeroWidthJoiner: UInt32 = 0x200d
  private static let textSelector: UInt32 = 0xfe0e
  private static let emojiSelector: UInt32 = 0xfe0f

  private static func isZero(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    // The Hangul choseong filler is ignorable but stands for a full syllable.
    case 0x115f: return false
    // Vowels and final consonants that join the syllable before them.
    case 0x1160...0x11ff, 0xd7b0...0xd7c6, 0xd7cb...0xd7fb: return true
    // Signs that are written over what follows them, though they are letters or format characters.
    case 0x605, 0x70f, 0x890, 0x891, 0x8e2, 0xd4e, 0xa8fa, 0x111c2, 0x111c3, 0x113d1, 0x1193f, 0x11941, 0x11a84...0x11a89, 0x11d46, 0x11f02:
      return true
    case 0x2d7f: return false
    default:
      let properties = scalar.properties
      return properties.isDefaultIgnorableCodePoint || properties.isGraphemeExtend
    }
  }

  // First and last scalar of each range whose East_Asian_Width is Wide or Fullwidth.
  private static let wide: [UInt32] = [
    0x1100, 0x115f, 0x231a, 0x231b, 0x2329, 0x232a, 0x23e9, 0x23ec, 0x23f0, 0x23f0, 0x23f3, 0x23f3, 0x25fd, 0x25fe, 0x2614, 0x2615,
    0x2630, 0x2637, 0x2648, 0x2653, 0x267f, 0x267f, 0x268a, 0x268f, 0x2693, 0x2693, 0x26a1, 0x26a1, 0x26aa, 0x26ab, 0x26bd, 0x26be,
    0x26c4, 0x26c5, 0x26ce, 0x26ce, 0x26d4, 0x26d4, 0x26ea, 0x26ea, 0x26f2, 0x26f3, 0x26f5, 0x26f5, 0x26fa, 0x26fa, 0x26fd, 0x26fd,
    0x2705, 0x2705, 0x270a, 0x270b, 0x2728, 0x2728, 0x274c, 0x274c, 0x274e, 0x274e, 0x2753, 0x2755, 0x2757, 0x2757, 0x2795, 0x2797,
    0x27b0, 0x27b0, 0x27bf, 0x27bf, 0x2b1b, 0x2b1c, 0x2b50, 0x2b50, 0x2b55, 0x2b55, 0x2e80, 0x2e99, 0x2e9b, 0x2ef3, 0x2f00, 0x2fd5,
    0x2ff0, 0x3029, 0x3030, 0x303e, 0x3041, 0x3096, 0x309b, 0x30ff, 0x3105, 0x312f, 0x3131, 0x3163, 0x3165, 0x318e, 0x3190, 0x31e5,
    0x31ef, 0x321e, 0x3220, 0x3247, 0x3250, 0xa48c, 0xa490, 0xa4c6, 0xa960, 0xa97c, 0xac00, 0xd7a3, 0xf900, 0xfaff, 0xfe10, 0xfe19,
    0xfe30, 0xfe52, 0xfe54, 0xfe66, 0xfe68, 0xfe6b, 0xff01, 0xff60, 0xffe0, 0xffe6, 0x16fe0, 0x16fe3, 0x16ff2, 0x16ff6, 0x17000, 0x18cd5,
    0x18cff, 0x18d1e, 0x18d80, 0x18df2, 0x1aff0, 0x1aff3, 0x1aff5, 0x1affb, 0x1affd, 0x1affe, 0x1b000, 0x1b122, 0x1b132, 0x1b132,
    0x1b150, 0x1b152, 0x1b155, 0x1b155, 0x1b164, 0x1b167, 0x1b170, 0x1b2fb, 0x1d300, 0x1d356, 0x1d360, 0x1d376, 0x1f004, 0x1f004,
    0x1f0cf, 0x1f0cf, 0x1f18e, 0x1f18e, 0x1f191, 0x1f19a, 0x1f200, 0x1f202, 0x1f210, 0x1f23b, 0x1f240, 0x1f248, 0x1f250, 0x1f251,
    0x1f260, 0x1f265, 0x1f300, 0x1f320, 0x1f32d, 0x1f335, 0x1f337, 0x1f37c, 0x1f37e, 0x1f393, 0x1f3a0, 0x1f3ca, 0x1f3cf, 0x1f3d3,
    0x1f3e0, 0x1f3f0, 0x1f3f4, 0x1f3f4, 0x1f3f8, 0x1f43e, 0x1f440, 0x1f440, 0x1f442, 0x1f4fc, 0x1f4ff, 0x1f53d, 0x1f54b, 0x1f54e,
    0x1f550, 0x1f567, 0x1f57a, 0x1f57a, 0x1f595, 0x1f596, 0x1f5a4, 0x1f5a4, 0x1f5fb, 0x1f64f, 0x1f680, 0x1f6c5, 0x1f6cc, 0x1f6cc,
    0x1f6d0, 0x1f6d2, 0x1f6d5, 0x1f6d8, 0x1f6dc, 0x1f6df, 0x1f6eb, 0x1f6ec, 0x1f6f4, 0x1f6fc, 0x1f7e0, 0x1f7eb, 0x1f7f0, 0x1f7f0,
    0x1f90c, 0x1f93a, 0x1f93c, 0x1f945, 0x1f947, 0x1f9ff, 0x1fa70, 0x1fa7c, 0x1fa80, 0x1fa8a, 0x1fa8e, 0x1fac6, 0x1fac8, 0x1fac8,
    0x1facd, 0x1fadc, 0x1fadf, 0x1faea, 0x1faef, 0x1faf8, 0x20000, 0x2fffd, 0x30000, 0x3fffd,
  ]
}
