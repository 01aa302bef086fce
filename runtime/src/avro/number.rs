//! Numbers and lengths as Avro writes them.

/// Appends `long`: zigzag, seven bits to a byte, the lowest first.
#[inline]
pub(super) fn write(long: i64, out: &mut Vec<u8>) {
    let mut raw = ((long << 1) ^ (long >> 63)).cast_unsigned();
    while raw > 0x7f {
        out.push((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Appends the number of an element, or how many there are.
pub(super) fn write_index(index: usize, out: &mut Vec<u8>) {
    write(index.cast_signed() as i64, out);
}

/// Appends `bytes` behind their length.
#[inline]
pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_index(bytes.len(), out);
    out.extend_from_slice(bytes);
}
