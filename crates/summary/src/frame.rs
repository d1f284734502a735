//! Framing of the records of an event file, as TensorFlow defines it in `tensorflow/core/lib/io/record_writer.h`:
//!
//! ```text
//! u64 length, little endian | u32 masked CRC-32C of the length | the bytes | u32 masked CRC-32C of the bytes
//! ```

/// Returns `data` as one record.
pub fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let checksum = |bytes: &[u8]| mask(crc32c::crc32c(bytes)).to_le_bytes();
    [&length, checksum(&length).as_slice(), data, &checksum(data)].concat()
}

/// Masks a checksum that is stored next to its data, so that a checksum of both is not degenerate.
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Returns the records of a file; panics if the framing is wrong.
#[cfg(test)]
pub fn unframe(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((length, _)) = bytes.split_first_chunk() {
        let length = u64::from_le_bytes(*length) as usize;
        let (record, rest) = bytes.split_at(length + 16);
        let data = &record[12..12 + length];
        assert_eq!(frame(data), record);
        records.push(data.to_vec());
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a torn record");
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        // Its appendix B.4, as numbers.
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c::crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c::crc32c(&descending), 0x113f_db5c);
    }

    #[test]
    fn the_mask_is_a_rotation_and_a_constant() {
        // ((crc >> 15) | (crc << 17)) + 0xa282ead8; reference/framing.py printed the second.
        assert_eq!(mask(0), 0xa282_ead8);
        assert_eq!(mask(0x8a91_36aa), 0x0fd7_fffa);
    }

    #[test]
    fn a_record_has_the_bytes_that_the_reference_computes() {
        // reference/framing.py printed them.
        let expected =
            [("", "000000000000000029039807d8ea82a2"), ("oxiseg", "06000000000000007369d5376f786973656754aa12c2")];
        for (data, hex) in expected {
            let bytes: String = frame(data.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(bytes, hex, "{data:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn records_come_back(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5)) {
            let file: Vec<u8> = records.iter().flat_map(|record| frame(record)).collect();
            prop_assert_eq!(unframe(&file), records);
        }
    }
}
