//! Tests of networks read back from their files, and of files that this crate did not write.

use super::*;
use crate::{Normalized, follow, torchscript};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use model::{Block, Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, UNetConfig, Upsampling};
use std::fs;
use std::io::Write;
use tch::nn::VarStore;
use tch::{CModule, Kind};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Saves a network with random weights and returns its `model.pt`.
fn saved(config: &Config) -> Vec<u8> {
    let mut store = VarStore::new(Device::Cpu);
    let network = config.build(&store, 3, 4).unwrap();
    store.freeze();
    let network = Normalized::new(network, Some([&[0.5, 0.4, 0.3], &[0.2, 0.3, 0.4]]), Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    torchscript(&follow(&network, &images(1)).unwrap(), &path).unwrap();
    fs::read(path).unwrap()
}

fn images(count: i64) -> Tensor {
    Tensor::rand([count, 3, 64, 64], (Kind::Float, Device::Cpu))
}

fn unet() -> UNetConfig {
    UNetConfig { width: 4, depth: 2, ..UNetConfig::default() }
}

fn read(bytes: &[u8]) -> Result<Frozen, String> {
    let path = Path::new("x/model.pt");
    let constants = weights::constants(path, bytes).map_err(|error| error.to_string())?;
    Frozen::read(path, bytes, &constants, Device::Cpu).map_err(|error| error.to_string())
}

/// Returns a `model.pt` of a small UNet with changed code. The code is stored uncompressed, which this crate reads too.
fn with_code(change: impl Fn(&str) -> String) -> Vec<u8> {
    let bytes = saved(&Config::Unet(unet()));
    let code = read::code(&bytes).unwrap();
    rewritten(&bytes, |name, content| match name.ends_with(".py") {
        true => change(&code).into_bytes(),
        false => content,
    })
}

/// Rewrites the archive with changed contents.
fn rewritten(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    use std::io::{Cursor, Read};
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut made = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..archive.len() {
        let mut file = archive.by_index_raw(number).unwrap();
        let (name, mut content) = (file.name().to_string(), Vec::new());
        file.read_to_end(&mut content).unwrap();
        made.start_file(&name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        made.write_all(&change(&name, content)).unwrap();
    }
    made.finish().unwrap().into_inner()
}

#[test]
fn every_network_is_read_back_and_gives_what_libtorchs_loader_gives() {
    let networks = [
        Config::Unet(unet()),
        Config::Unet(UNetConfig { upsampling: Upsampling::Bilinear, block: Block::Residual, ..unet() }),
        Config::Unet(UNetConfig { attention: true, ..unet() }),
        Config::MobilenetV2Unet(MobileNetV2UNetConfig { width_multiplier: 0.1, ..MobileNetV2UNetConfig::default() }),
        Config::ResnetUnet(ResNetUNetConfig { layers: Layers::Eighteen, ..ResNetUNetConfig::default() }),
    ];
    for config in networks {
        let bytes = saved(&config);
        let frozen = read(&bytes).unwrap();
        let loaded = CModule::load_data(&mut bytes.as_slice()).unwrap();
        let _no_grad = tch::no_grad_guard();
        for count in [1, 2] {
            let images = images(count);
            assert_eq!(frozen.run(&images).unwrap(), loaded.forward_ts(&[images]).unwrap(), "{config:?}");
        }
        let error = frozen.run(&Tensor::rand([1, 2, 64, 64], (Kind::Float, Device::Cpu))).unwrap_err().to_string();
        assert!(error.contains("size") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_program_is_refused_before_libtorch_sees_it() {
    read(&with_code(str::to_string)).unwrap();
    let first = "    _0 = ";
    let line = |line: &str| with_code(|code| code.replacen(first, &format!("    {line}\n{first}"), 1));
    for (code, says) in [
        (r#"x = torch.from_file("/tmp/x", True, 4)"#, "torch.from_file, which no export writes"),
        (r#"torch.save(argument_1, "/tmp/x")"#, "'.' where an export has '='"),
        (r#"x = torch.save(argument_1, "/tmp/x")"#, "torch.save, which no export writes"),
        ("x = ops.aten.from_file(argument_1)", "ops.aten.from_file, which no export writes"),
        ("x = ops.prim.Print(argument_1)", "which no export writes"),
        ("x = int(argument_1)", "argument 0 is not a whole number as there should be"),
        ("x = torch.int(1)", "torch.int, which no export writes"),
        ("x = torch.relu(torch.load(argument_1))", "torch.load, which no export writes"),
        ("x = torch.ones([1000000, 1000000])", "torch.ones, which no export writes"),
        ("x = __torch__.Other.forward(argument_1)", "__torch__.Other.forward, which no export writes"),
        ("x = argument_1.numpy()", "argument_1.numpy, which no export writes"),
        ("while True:", "'True' where an export has '='"),
        ("import os", "'os' where an export has '='"),
        ("x = torch.relu(argument_1, out=argument_1)", "torch.relu as no export does: argument out"),
        ("x = torch.relu(argument_1, argument_1)", "it has 2 arguments"),
        ("x = torch.max_pool2d(argument_1, [2, 2], [-1, 2])", "argument 2 is not a list as there should be"),
        ("x = torch.cat([argument_1], 99999999)", "argument 1 is not a whole number as there should be"),
        ("x = torch.upsample_nearest2d(argument_1, [99999, 9], None)", "argument 1 is not"),
        ("x, y = torch.relu(argument_1)", "takes apart what is no list"),
        ("x = torch.view(argument_1, [99999999])", "argument 1 is not a list as there should be"),
        ("x = torch.relu(y)", "'y' where an export has a value that is known"),
        ("x = torch.relu(7)", "argument 0 is not a tensor"),
        ("x = torch.to(argument_1, dtype=5)", "argument dtype"),
        ("x = 7", "x is no tensor"),
        ("x = [7]", "x is no tensor"),
        ("x = [[argument_1]]", "x is no tensor"),
        ("x = torch.cat([], 1)", "argument 0 is not a list of tensors"),
        (&format!("x = torch.cat([{}], 1)", "argument_1, ".repeat(17)), "a list of more than 16"),
        (r#"x = "a"#, "a text in its code has no end"),
        ("x = argument_1; y = x", "';'"),
        ("x = torch.cat([argument_1], 1)[0]", "'[' where an export has the end of a line"),
        ("x = torch.relu(CONSTANTS.c9999)", "its code uses constant 9999"),
        (
            "x = torch.batch_norm(argument_1, argument_1, argument_1, argument_1, argument_1, True, 0.1, 0.1, True)",
            "argument 5 is not off",
        ),
        (&format!("x = torch.relu({}argument_1)", "torch.relu(".repeat(40)), "nested more than 16 deep"),
    ] {
        let error = read(&line(code)).map(drop).unwrap_err();
        assert!(error.starts_with("x/model.pt is not run, ") && error.contains(says), "{code}: {error}");
    }
    for code in [
        "def __setstate__(self, state: Tensor) -> NoneType:\n    return None\n",
        "training : bool\n  def forward(self, x: Tensor) -> Tensor:\n    return x\n",
        "class Other(Module):\n  __parameters__ = []\n",
    ] {
        for place in ["  def forward(self:", "    return "] {
            let error =
                read(&with_code(|all| all.replacen(place, &format!("  {code}{place}"), 1))).map(drop).unwrap_err();
            assert!(error.contains("where an export has"), "{error}");
        }
        assert!(read(&with_code(|all| format!("{all}{code}"))).is_err());
    }
    assert!(read(&with_code(|_| String::new())).is_err());
}

#[test]
fn what_is_read_is_bounded() {
    let bytes = saved(&Config::Unet(unet()));
    // libtorch's loader might take a second file of code.
    let mut more = ZipWriter::new_append(std::io::Cursor::new(bytes.clone())).unwrap();
    more.start_file("archive/code/__torch__/other.py", SimpleFileOptions::default()).unwrap();
    let error = read(&more.finish().unwrap().into_inner()).map(drop).unwrap_err();
    assert!(error.contains("2 files of code"), "{error}");
    // A megabyte of blanks, and 16 MiB of them that are small as long as they are compressed.
    let error = read(&with_code(|code| format!("{code}{}", " ".repeat(1 << 20)))).map(drop).unwrap_err();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    (0..1024).for_each(|_| packed.write_all(&[b' '; 1 << 14]).unwrap());
    let packed = packed.finish().unwrap();
    let bomb = rewritten(&bytes, |name, content| if name.ends_with(".py") { packed.clone() } else { content });
    let error = read(&deflated(bomb)).map(drop).unwrap_err();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    for bytes in [&bytes[..bytes.len() / 2], b"", b"PK\x03\x04", b"x"] {
        assert!(read(bytes).map(drop).unwrap_err().contains("x/model.pt"));
        assert!(read::code(bytes).is_err());
    }
}

/// Marks the archive's code as compressed, which it is.
fn deflated(mut bytes: Vec<u8>) -> Vec<u8> {
    for (head, method, length, name) in [(b"PK\x03\x04", 8, 26, 30), (b"PK\x01\x02", 10, 28, 46)] {
        for at in 0..bytes.len() - name {
            let end = at + name + usize::from(bytes[at + length]);
            if bytes[at..].starts_with(head) && bytes[..end].ends_with(b".py") {
                bytes[at + method] = 8;
            }
        }
    }
    bytes
}

#[test]
fn values_are_freed_after_their_last_use() {
    let lines = [
        "class Network(Module):",
        "  __parameters__ = []",
        "  __buffers__ = []",
        "  def forward(self: __torch__.Network,",
        "    x: Tensor) -> Tensor:",
        "    _0 = torch.relu(x)",
        "    _1 = torch.add(_0, torch.relu6(_0))",
        "    return _1\n",
    ];
    let code = &lines.join("\n");
    let code = Code::parse(code).unwrap();
    let last: Vec<&[usize]> = code.steps.iter().map(|step| &step.last_uses[..]).collect();
    assert_eq!(last, [&[0][..], &[], &[1, 2]]);
    assert_eq!((code.output, code.locals), (3, 4));
    let frozen = Frozen { code, constants: Vec::new() };
    let found = frozen.run(&Tensor::from_slice(&[-1f32, 2.0, 9.0])).unwrap();
    assert_eq!(Vec::<f32>::try_from(found).unwrap(), [0.0, 4.0, 15.0]);
}
