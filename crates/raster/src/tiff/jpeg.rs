//! JPEG within TIFF: a picture a block, whose tables may lie in the tag `JPEGTables`.

use crate::error::{Problem, damaged, refused};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Size and samples of a block that is a picture of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) rows: usize,
    pub(crate) samples: usize,
    /// True if the photometric interpretation is YCbCr, which is converted to RGB.
    pub(crate) ycbcr: bool,
}

/// Decodes a block: rows of `shape.width` pixels.
pub(crate) fn decode(packed: &[u8], tables: Option<&[u8]>, shape: Shape, into: &mut Vec<u8>) -> Result<(), Problem> {
    let joined;
    let stream = match tables {
        // The tables are a stream of their own, from SOI to EOI: one of each goes.
        Some([0xff, 0xd8, tables @ ..]) if packed.starts_with(&[0xff, 0xd8]) => {
            let tables = tables.strip_suffix(&[0xff, 0xd9]).unwrap_or(tables);
            joined = [&[0xff, 0xd8], tables, &packed[2..]].concat();
            &joined
        }
        _ => packed,
    };
    let options = DecoderOptions::new_safe().set_max_width(1 << 16).set_max_height(1 << 16);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(stream), options);
    decoder.decode_headers().map_err(of_jpeg)?;
    let Some((width, height)) = decoder.dimensions() else { return damaged("a JPEG block has no size") };
    if width < shape.width || height < shape.rows {
        return damaged(format!(
            "a JPEG block has {height} x {width} pixels, and {} x {} are needed",
            shape.rows, shape.width
        ));
    }
    if width as u64 * height as u64 > crate::source::MOST / 4 {
        return damaged(format!("a JPEG block claims {height} x {width} pixels"));
    }
    let found = decoder.input_colorspace();
    let samples = decoder.info().map_or(0, |info| usize::from(info.components));
    if samples != shape.samples {
        return damaged(format!("a JPEG block has {samples} components, and the page {} samples", shape.samples));
    }
    // Components as they are, but for YCbCr.
    let color = match (samples, found) {
        (1, _) => ColorSpace::Luma,
        (3, _) if shape.ycbcr => ColorSpace::RGB,
        (3, Some(ColorSpace::RGB)) => ColorSpace::RGB,
        (3, _) => ColorSpace::YCbCr,
        (4, Some(ColorSpace::CMYK)) => ColorSpace::CMYK,
        _ => {
            return refused(format!(
                "is a TIFF with JPEG of {samples} components, which is not read: save it with DEFLATE \
                 (gdal_translate -co COMPRESS=DEFLATE)"
            ));
        }
    };
    decoder.set_options(options.jpeg_set_out_colorspace(color));
    let pixels = decoder.decode().map_err(of_jpeg)?;
    let (line, wanted) = (width * samples, shape.width * samples);
    if pixels.len() < line * shape.rows {
        return damaged("a JPEG block is shorter than its header says");
    }
    for row in pixels.chunks_exact(line).take(shape.rows) {
        into.extend_from_slice(&row[..wanted]);
    }
    Ok(())
}

fn of_jpeg(error: zune_jpeg::errors::DecodeErrors) -> Problem {
    Problem::Damaged(format!("a JPEG block cannot be decoded: {error}"))
}
