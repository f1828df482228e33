//! The codings themselves. Their windows are made with the first bytes, and freed with the last.

use std::io::{self, Write as _};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use brotli::enc::backward_references::BrotliEncoderMode;
use flate2::write::GzEncoder;
use ir::compressor::{Brotli, BrotliMode, Codec};

/// Where a body stands.
pub enum Encoder {
    /// Nothing has come yet.
    Waiting(Codec),
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Ended,
}

/// What brotli writes through, at once.
const ROOM: usize = 4096;

impl Encoder {
    /// Compresses bytes so that who gets them can read all of them: who streams is not held up.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.begin();
        match self {
            Encoder::Gzip(it) => {
                it.write_all(bytes).and_then(|()| it.flush())?;
                Ok(std::mem::take(it.get_mut()))
            }
            Encoder::Brotli(it) => {
                it.write_all(bytes).and_then(|()| it.flush())?;
                Ok(std::mem::take(it.get_mut()))
            }
            Encoder::Waiting(_) | Encoder::Ended => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// What is left to be said.
    pub fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.begin();
        match std::mem::replace(self, Encoder::Ended) {
            Encoder::Gzip(it) => it.finish(),
            Encoder::Brotli(it) => Ok(it.into_inner()),
            Encoder::Waiting(_) | Encoder::Ended => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    pub fn is_ended(&self) -> bool {
        matches!(self, Encoder::Ended)
    }

    fn begin(&mut self) {
        if let Encoder::Waiting(codec) = self {
            *self = match codec {
                Codec::Gzip { level } => {
                    let level = flate2::Compression::new(level.unwrap_or(6));
                    Encoder::Gzip(GzEncoder::new(Vec::new(), level))
                }
                Codec::Brotli(it) => {
                    let writer = CompressorWriter::with_params(Vec::new(), ROOM, &parameters(it));
                    Encoder::Brotli(Box::new(writer))
                }
            };
        }
    }
}

/// Envoy's defaults are not the library's.
fn parameters(it: &Brotli) -> BrotliEncoderParams {
    let number = |it: Option<u32>, default| it.and_then(|it| i32::try_from(it).ok()).unwrap_or(default);
    BrotliEncoderParams {
        quality: number(it.quality, 3),
        lgwin: number(it.window_bits, 18),
        mode: match it.mode {
            BrotliMode::Generic => BrotliEncoderMode::BROTLI_MODE_GENERIC,
            BrotliMode::Text => BrotliEncoderMode::BROTLI_MODE_TEXT,
            BrotliMode::Font => BrotliEncoderMode::BROTLI_MODE_FONT,
        },
        disable_literal_context_modeling: i32::from(it.disable_literal_context_modeling),
        ..BrotliEncoderParams::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Everything so far, as a client reads it that does not wait for the end.
    fn read(codec: Codec, packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        // Where the end is missing that is an error, after what could be read.
        let _ = match codec {
            Codec::Gzip { .. } => flate2::read::GzDecoder::new(packed).read_to_end(&mut plain),
            Codec::Brotli(_) => brotli::Decompressor::new(packed, ROOM).read_to_end(&mut plain),
        };
        plain
    }

    #[test]
    fn each_piece_can_be_read_at_once() {
        let best = Brotli { quality: Some(11), window_bits: Some(10), ..Brotli::default() };
        let codecs = [Codec::Gzip { level: Some(1) }, Codec::Brotli(Brotli::default()), Codec::Brotli(best)];
        for codec in codecs {
            let (mut encoder, mut plain, mut packed) = (Encoder::Waiting(codec), Vec::new(), Vec::new());
            for piece in 0..20u32 {
                let bytes: Vec<u8> =
                    (0..piece * 700).flat_map(|it| (it * piece).to_string().into_bytes()).collect();
                packed.extend(encoder.write(&bytes).unwrap());
                plain.extend(bytes);
                assert!(read(codec, &packed) == plain, "{codec:?} {piece}");
            }
            packed.extend(encoder.finish().unwrap());
            assert!(encoder.is_ended() && encoder.write(b"x").is_err() && encoder.finish().is_err());
            assert!(read(codec, &packed) == plain && packed.len() < plain.len() / 2, "{codec:?}");
            let nothing = Encoder::Waiting(codec).finish().unwrap();
            assert!(!nothing.is_empty() && read(codec, &nothing).is_empty());
        }
    }
}
