//! Compression: stable bytes, readable by others, and wary decoders.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "programs as oracles")]

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use cooper_oci::Digest;
use cooper_oci::compress::{
    Compression, Decoder, Detected, Prepared, auto_decoder, compressor_id, decoder, detect, encoder,
    encoder_with, threaded_decoder,
};

/// Text-like data that compresses, with stretches that do not.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut data = Vec::with_capacity(length + 64);
    while data.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if (state >> 40).is_multiple_of(3) {
            data.extend_from_slice(&state.to_le_bytes());
        } else {
            data.extend_from_slice(b"the quick brown fox jumps over the lazy dog ");
        }
    }
    data.truncate(length);
    data
}

fn compress(
    data: &[u8],
    compression: Compression,
    level: Option<i32>,
    threads: usize,
    step: usize,
) -> Vec<u8> {
    let mut encoder = encoder(Vec::new(), compression, level, threads).unwrap();
    for piece in data.chunks(step) {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap()
}

fn decompress(bytes: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    decoder(bytes, compression)?.read_to_end(&mut data)?;
    Ok(data)
}

/// Pipes bytes through a program; `None` if it is not installed.
fn pipe(program: &str, args: &[&str], input: &[u8]) -> Option<(bool, Vec<u8>)> {
    let child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("skipped: {program} is not installed\n").as_bytes(),
        );
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // A program that gives up early closes its end.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Some((output.status.success(), output.stdout))
}

const SIZES: [usize; 8] = [0, 1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 20) + 40_000, 5_000_000];

#[test]
fn bytes_do_not_depend_on_threads_or_on_the_size_of_writes() {
    let data = sample(5_000_000);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let one = compress(&data, compression, None, 1, usize::MAX);
        for threads in [0, 2, 4] {
            assert_eq!(
                compress(&data, compression, None, threads, 77_777),
                one,
                "{compression} on {threads} threads"
            );
        }
        let one = compress(&data, compression, Some(1), 1, 4096);
        assert_eq!(compress(&data, compression, Some(1), 4, usize::MAX), one);
    }
}

#[test]
fn what_goes_in_comes_out() {
    for size in SIZES {
        let data = sample(size);
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let bytes = compress(&data, compression, None, 2, 100_000);
            assert!(decompress(&bytes, compression).unwrap() == data, "{compression} of {size} bytes");
            let (found, mut reader) = auto_decoder(bytes.as_slice()).unwrap();
            assert_eq!(found, Detected::from(compression));
            let mut whole = Vec::new();
            reader.read_to_end(&mut whole).unwrap();
            assert!(whole == data);
        }
    }
}

#[test]
fn incompressible_data_at_every_level_fits() {
    let mut state = 1u64;
    let noise: Vec<u8> = (0..2_200_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    for level in 0..=9 {
        let bytes = compress(&noise, Compression::Gzip, Some(level), 1, usize::MAX);
        assert!(decompress(&bytes, Compression::Gzip).unwrap() == noise, "level {level}");
        assert!(bytes.len() < noise.len() + noise.len() / 1000);
    }
    // Even in its bytes, but not noise.
    let ramp: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
    assert!(compress(&ramp, Compression::Gzip, None, 1, usize::MAX).len() < ramp.len() / 50);
}

#[test]
fn other_programs_read_what_we_write() {
    for size in SIZES {
        let data = sample(size);
        let bytes = compress(&data, Compression::Gzip, None, 4, 65_536);
        let mut whole = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut whole).unwrap();
        assert!(whole == data);
        if let Some((ok, _)) = pipe("gzip", &["-t"], &bytes) {
            assert!(ok, "gzip -t on {size} bytes");
        }
        if let Some((ok, output)) = pipe("gzip", &["-dc"], &bytes) {
            assert!(ok && output == data);
        }
        let bytes = compress(&data, Compression::Zstd, None, 2, 65_536);
        if let Some((ok, output)) = pipe("zstd", &["-dc"], &bytes) {
            assert!(ok && output == data);
        }
    }
}

/// As [`decompress`], in other threads.
fn decompress_threaded(bytes: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    threaded_decoder(io::Cursor::new(bytes.to_vec()), compression, 2)?.read_to_end(&mut data)?;
    Ok(data)
}

#[test]
fn threads_read_our_streams_and_those_of_others() {
    for size in SIZES {
        let data = sample(size);
        let mut foreign = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        foreign.write_all(&data).unwrap();
        let foreign = foreign.finish().unwrap();
        let ours = compress(&data, Compression::Gzip, None, 1, usize::MAX);
        for (stream, parts) in [
            (ours.clone(), 1),
            (foreign.clone(), 1),
            ([ours.as_slice(), &foreign, &ours].concat(), 3),
            ([foreign.as_slice(), &ours].concat(), 2),
        ] {
            assert!(decompress_threaded(&stream, Compression::Gzip).unwrap() == data.repeat(parts), "{size}");
        }
        for compression in [Compression::None, Compression::Zstd] {
            let bytes = compress(&data, compression, None, 1, usize::MAX);
            assert!(decompress_threaded(&bytes, compression).unwrap() == data, "{compression} of {size}");
        }
    }
}

#[test]
fn threads_report_damage() {
    let data = sample(2_500_000);
    let bytes = compress(&data, Compression::Gzip, None, 1, usize::MAX);
    let second = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
    for cut in [1, 10, 19, 20, second - 1, second + 1, second + 17, second + 30, bytes.len() - 1] {
        assert!(decompress_threaded(&bytes[..cut], Compression::Gzip).is_err(), "cut at {cut}");
    }
    // The header, data, its checksum, its size.
    for at in [0, 1, 2, 1000, second - 8, second - 4, second - 1, second] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        assert!(decompress_threaded(&damaged, Compression::Gzip).is_err(), "byte {at}");
    }
    // The length of a member says only where to cut.
    for at in [16, 17, 18, second + 16] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        let read = decompress_threaded(&damaged, Compression::Gzip);
        assert!(read.is_err() || read.is_ok_and(|read| read == data), "byte {at}");
    }
    let bytes = compress(&data, Compression::Zstd, None, 1, usize::MAX);
    assert!(decompress_threaded(&bytes[..bytes.len() - 1], Compression::Zstd).is_err());
}

#[test]
fn other_programs_output_is_detected_and_read() {
    let data = sample(300_000);
    for (program, format) in
        [("gzip", Detected::Gzip), ("zstd", Detected::Zstd), ("bzip2", Detected::Bzip2), ("xz", Detected::Xz)]
    {
        let Some((true, bytes)) = pipe(program, &["-c"], &data) else { continue };
        assert_eq!(detect(&mut bytes.as_slice()).unwrap(), format);
        // Two streams in a row are one.
        let doubled = [bytes.as_slice(), bytes.as_slice()].concat();
        let (found, mut reader) = auto_decoder(doubled.as_slice()).unwrap();
        assert_eq!(found, format);
        let mut whole = Vec::new();
        reader.read_to_end(&mut whole).unwrap();
        assert!(whole == [data.as_slice(), data.as_slice()].concat(), "{program}");
        // Torn at any place it is an error, never a shorter success.
        for cut in [bytes.len() - 1, bytes.len() - 5, bytes.len() / 2, 7] {
            let mut reader = Decoder::new(&bytes[..cut], format).unwrap();
            assert!(reader.read_to_end(&mut Vec::new()).is_err(), "{program} cut at {cut}");
        }
    }
}

#[test]
fn torn_output_of_ours_is_an_error_at_every_byte() {
    let data = sample(600);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let bytes = compress(&data, compression, None, 1, usize::MAX);
        for cut in 1..bytes.len() {
            assert!(decompress(&bytes[..cut], compression).is_err(), "{compression} cut at {cut}");
        }
    }
}

#[test]
fn a_reader_that_drips_does_not_fool_detection() {
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let length = buf.len().min(1);
            self.0.read(&mut buf[..length])
        }
    }
    let bytes = compress(b"hello", Compression::Gzip, None, 1, 5);
    let (found, mut reader) = auto_decoder(Drip(&bytes)).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!((found, text.as_str()), (Detected::Gzip, "hello"));
    let (found, mut reader) = auto_decoder(b"hi".as_slice()).unwrap();
    text.clear();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!((found, text.as_str()), (Detected::None, "hi"));
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused() {
    let data = sample(1_000_000);
    let Some((true, bytes)) = pipe("zstd", &["-c", "--long=31", "--no-check"], &data) else { return };
    let error = decompress(&bytes, Compression::Zstd).unwrap_err();
    assert!(
        error.to_string().to_lowercase().contains("memory") || error.to_string().contains("indow"),
        "{error}"
    );
}

#[test]
fn levels_out_of_range_are_refused() {
    for (compression, level) in
        [(Compression::Gzip, 10), (Compression::Gzip, -1), (Compression::Zstd, 0), (Compression::Zstd, 23)]
    {
        assert!(encoder(Vec::new(), compression, Some(level), 1).is_err());
    }
    assert!(encoder(Vec::new(), Compression::None, Some(99), 1).is_ok());
}

#[test]
fn a_failing_sink_is_reported() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if buf.len() > 10 { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(buf.len()) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for threads in [1, 4] {
        let mut encoder = encoder(Full, Compression::Gzip, None, threads).unwrap();
        let result = encoder.write_all(&sample(1 << 24)).and_then(|()| encoder.finish().map(|_| ()));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}

#[test]
fn compressed_bytes_are_pinned_to_the_compressor_id() {
    // If a new version of a library changes these, `compressor_id` must change with them.
    let data = sample(3_000_000);
    for (compression, id, digest) in [
        (
            Compression::Gzip,
            "gzip/libdeflate-1.26/5/1MiB/noise/files-256KiB",
            "sha256:8754722808d7c39fd60bcdb021af51c78a741a279af48a8200b3ee913e587f09",
        ),
        (
            Compression::Zstd,
            "zstd/1.5.7/3/4MiB",
            "sha256:b9e8c8fb169d412e762aa1ba53136564eb678821ef05b17c43c55bbb6cced967",
        ),
    ] {
        assert_eq!(compressor_id(compression, None), id);
        let bytes = compress(&data, compression, None, 2, 65_536);
        assert_eq!(Digest::sha256_of(&bytes).as_str(), digest, "{id}");
    }
}

/// A tar stream with a small file, a large one and another small one.
fn archive(small: usize, large: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [("small", &sample(small)[..]), ("large", large), ("last", b"x")] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn blocks_may_be_prepared_and_give_the_same_bytes() {
    let large = sample(3 * Prepared::BLOCK + 12_345);
    for small in [0, 1000, 120_000] {
        let data = archive(small, &large);
        let file = tempfile::tempfile().unwrap();
        let prepared = Arc::new(Prepared::new(file.try_clone().unwrap(), None));
        for block in large.chunks(Prepared::BLOCK) {
            let mut block = block.to_vec();
            block.resize(Prepared::padded(block.len()), 0);
            prepared.prepare(&block).unwrap();
        }
        let with = |threads| {
            let prepared = Some(prepared.clone());
            let mut encoder = encoder_with(Vec::new(), Compression::Gzip, None, threads, prepared).unwrap();
            encoder.write_all(&data).unwrap();
            encoder.finish().unwrap()
        };
        let plain = compress(&data, Compression::Gzip, None, 2, 4096);
        assert!(with(2) == plain && with(1) == plain, "a small file of {small} bytes");
        assert!(decompress(&plain, Compression::Gzip).unwrap() == data);
        // They are really taken, wherever the file begins in the stream.
        file.set_len(0).unwrap();
        file.set_len(64 << 20).unwrap();
        assert!(with(2) != plain, "a small file of {small} bytes");
    }
}

#[test]
fn what_only_looks_like_a_tar_stream_is_compressed_all_the_same() {
    let mut data = archive(10, &sample(2_000_000));
    // The size in the second header, and then its sum.
    for place in [1024 + 124, 1024 + 148] {
        data[place] = b'9';
        let bytes = compress(&data, Compression::Gzip, None, 2, 100_000);
        assert!(decompress(&bytes, Compression::Gzip).unwrap() == data);
    }
}
