//! Every operator that is translated: what libtorch computes, our reader of TorchScript, ONNX Runtime and rten compute
//! too.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use export::{Frozen, Numbers, OnnxRuntime, Ports, Rten, Script, onnx, torchscript};
use std::path::{Path, PathBuf};
use tch::nn::Module;
use tch::{Device, Kind, Tensor};
use torch_ext::{Interpolation, resize_like};

/// A small network, and its name.
type Case = (&'static str, Box<dyn Fn(&Tensor) -> Tensor>);

fn case(name: &'static str, network: impl Fn(&Tensor) -> Tensor + 'static) -> Case {
    (name, Box::new(network))
}

fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// Returns ONNX Runtime's library, if scripts/python has installed it.
fn library() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.python/onnxruntime/capi");
    let mut files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.to_string_lossy().contains("libonnxruntime.so"))
}

/// Compares the three on inputs of these shapes; the first is the one that is traced.
fn compare(cases: Vec<Case>, shapes: &[[i64; 4]]) {
    tch::manual_seed(5);
    let _no_grad = tch::no_grad_guard();
    let folder = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    for (name, network) in cases {
        let inputs: Vec<Tensor> = shapes.iter().map(|shape| random(shape) * 3.0).collect();
        let said = |error: String| format!("{name}: {error}");
        let check = || -> Result<(), String> {
            let script = Script::follow(&inputs[0], &network).map_err(|error| error.to_string())?;
            let (pt, path) = (folder.path().join("model.pt"), folder.path().join("model.onnx"));
            torchscript(&script, &pt).map_err(|error| error.to_string())?;
            let bytes = std::fs::read(&pt).unwrap();
            let constants = weights::constants(&pt, &bytes).map_err(|error| error.to_string())?;
            let frozen = Frozen::read(&pt, &bytes, &constants, Device::Cpu).map_err(|error| error.to_string())?;
            let ports = Ports { channels: shapes[0][1], classes: 1, size: None };
            onnx(&script, &ports, Numbers::F32, &path).map_err(|error| error.to_string())?;
            let mut runtime = OnnxRuntime::open(&path, library().as_deref()).map_err(|error| error.to_string())?;
            let rten = Rten::open(&path, 1).map_err(|error| error.to_string());
            for input in &inputs {
                let expected = network(&input.copy());
                let close = |by: &str, found: Tensor| {
                    let (size, shape) = (found.size(), input.size());
                    if size != expected.size() {
                        return Err(format!("{by} on {shape:?}: {size:?}, not {:?}", expected.size()));
                    }
                    let worst = (&found - &expected).abs().max().double_value(&[]);
                    let largest = expected.abs().max().double_value(&[]).max(1.0);
                    if worst <= 1e-5 * largest { Ok(()) } else { Err(format!("{by} on {shape:?}: {worst:e} off")) }
                };
                close("the reader", frozen.run(&input.copy()).map_err(|error| error.to_string())?)?;
                if let Some(runtime) = &mut runtime {
                    close("ONNX Runtime", runtime.run(input).map_err(|error| error.to_string())?)?;
                }
                match &rten {
                    // What we hand on of it is images.
                    Ok(rten) if expected.dim() == 4 => {
                        close("rten", rten.run(input).map_err(|error| error.to_string())?)?;
                    }
                    Ok(_) => {}
                    Err(said) if said.contains("cubic") || said.contains("CumSum") => {}
                    Err(said) => return Err(said.clone()),
                }
            }
            Ok(())
        };
        failed.extend(check().map_err(said).err());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    if library().is_none() {
        eprintln!("skipped: ONNX Runtime is not there (scripts/python installs it)");
    }
}

/// Batches and sizes on which a network that is traced on the first shape works too.
const ANY: [[i64; 4]; 3] = [[1, 4, 8, 8], [3, 4, 8, 8], [2, 4, 12, 20]];

#[test]
fn activations() {
    let in_place = |x: &Tensor| x * 1.5;
    let cases = vec![
        case("relu", |x| x.relu()),
        case("relu6", |x| x.relu6()),
        case("hardtanh", |x| x.hardtanh()),
        case("hardswish", |x| x.hardswish()),
        case("hardsigmoid", |x| x.hardsigmoid()),
        case("silu", |x| x.silu()),
        case("mish", |x| x.mish()),
        case("sigmoid", |x| x.sigmoid()),
        case("tanh", |x| x.tanh()),
        case("gelu", |x| x.gelu("none")),
        case("gelu by tanh", |x| x.gelu("tanh")),
        case("clamp", |x| x.clamp(-0.5, 2.0)),
        case("clamp of whole numbers", |x| x.clamp(0, 6)),
        case("clamp_min", |x| x.clamp_min(0.25)),
        case("clamp_max", |x| x.clamp_max(0.25)),
        case("leaky_relu", |x| x.leaky_relu()),
        case("softmax of channels", |x| x.softmax(1, Kind::Float)),
        case("log_softmax", |x| x.log_softmax(-1, None)),
        case("in place", move |x| {
            let all = [
                in_place(x).relu_(),
                in_place(x).relu6_(),
                in_place(x).hardtanh_(),
                in_place(x).hardswish_(),
                in_place(x).hardsigmoid_(),
                in_place(x).silu_(),
                in_place(x).gelu_("none"),
                in_place(x).clamp_(-1.0, 1.0),
                in_place(x).sigmoid_(),
            ];
            Tensor::cat(&all, 1)
        }),
    ];
    compare(cases, &ANY);
}

#[test]
fn arithmetic() {
    let (scale, weight) = (random(&[4, 1, 1]), random(&[1, 4, 1, 1]).abs() + 0.5);
    let cases = vec![
        case("with tensors", {
            let (scale, weight) = (scale.shallow_clone(), weight.shallow_clone());
            move |x| ((x + &scale) * &weight - x) / &weight
        }),
        case("with numbers", |x| ((x + 1.5) * 0.5 - 2.0) / 3.0),
        case("from a number", |x| 1.0 - x),
        case("in place", move |x| {
            let mut y = x * 2.0;
            let mut y = y.g_add_(&scale);
            let mut y = y.g_mul_scalar_(0.5);
            y.g_sub_(&weight)
        }),
        case("powers", |x| x.pow_tensor_scalar(2) + x.abs().pow_tensor_scalar(1.5)),
        case("roots", |x| (x.abs() + 1.0).rsqrt() + x.abs().sqrt() + (x.abs() + 1.0).reciprocal()),
        case("functions", |x| x.sin() + x.cos() - x.neg().exp() * 0.01 + (x.abs() + 1.0).log() + x.erf()),
        case("one or one less", |x| x * x.ones_like() + x.zeros_like() - x.full_like(0.5)),
    ];
    compare(cases, &ANY);
}

#[test]
fn convolutions() {
    let conv = |output: i64, groups: i64, kernel: i64| random(&[output, 4 / groups, kernel, kernel]) * 0.2;
    let bias = random(&[8]);
    let (plain, grouped, depthwise, transposed) = (conv(8, 1, 3), conv(8, 2, 3), conv(4, 4, 3), random(&[4, 2, 2, 2]));
    let padded = |x: &Tensor, mode: &str| x.pad([0, 1, 2, 1], mode, None);
    let asymmetric = conv(4, 4, 3);
    let strided = depthwise.shallow_clone();
    let cases = vec![
        case("with a bias", move |x| x.conv2d(&plain, Some(&bias), [1, 1], [1, 1], [1, 1], 1)),
        case("dilated groups", move |x| x.conv2d(&grouped, None::<Tensor>, [1, 1], [2, 2], [2, 2], 2)),
        case("depthwise, strided", move |x| x.conv2d(&strided, None::<Tensor>, [2, 2], [1, 1], [1, 1], 4)),
        case("asymmetric padding", move |x| {
            padded(x, "constant").conv2d(&asymmetric, None::<Tensor>, [2, 2], [0, 0], [1, 1], 4)
        }),
        case("replicated border", move |x| padded(x, "replicate")),
        case("reflected border", move |x| x.reflection_pad2d([1, 1, 2, 2])),
        case("constant border", |x| x.constant_pad_nd([1, 2, 0, 1])),
        case("transposed", move |x| x.conv_transpose2d(&transposed, None::<Tensor>, [2, 2], [0, 0], [0, 0], 1, [1, 1])),
    ];
    compare(cases, &ANY);
}

#[test]
fn normalisation() {
    let one = |n: i64| random(&[n]);
    let (mean, variance, scale, shift) = (one(4), one(4).abs() + 0.5, one(4), one(4));
    let [none, again] = [(mean.copy(), variance.copy()), (scale.copy(), shift.copy())];
    let third = (scale.copy(), shift.copy());
    let cases = vec![
        case("batch, with nothing to fold into", move |x| {
            let x = x.relu();
            x.batch_norm(Some(&scale), Some(&shift), Some(&mean), Some(&variance), false, 0.1, 1e-3, false)
        }),
        case("batch without scale", move |x| {
            x.batch_norm(None::<&Tensor>, None, Some(&none.0), Some(&none.1), false, 0.1, 1e-5, false)
        }),
        case("layer, channels last", move |x| {
            let x = x.permute([0, 2, 3, 1]);
            x.layer_norm([4], Some(&again.0), Some(&again.1), 1e-6, true).permute([0, 3, 1, 2])
        }),
        case("layer without scale", |x| x.transpose(1, 3).layer_norm([4], None::<&Tensor>, None, 1e-5, false)),
        case("group", move |x| x.group_norm(2, Some(&third.0), Some(&third.1), 1e-5, true)),
        case("group of all, without scale", |x| x.group_norm(1, None::<&Tensor>, None, 1e-4, false)),
    ];
    compare(cases, &ANY);
}

#[test]
fn pooling_and_reductions() {
    let mut cases = vec![
        case("max", |x| x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)),
        case("average", |x| x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)),
        case("average with a border", |x| x.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None)),
        case("average with a counted border", |x| x.avg_pool2d([3, 3], [2, 2], [1, 1], false, true, None)),
        case("mean of the image", |x| x.mean_dim([2i64, 3].as_slice(), true, Kind::Float)),
        case("mean of the channels", |x| x.mean_dim([1i64].as_slice(), true, None)),
        case("sum", |x| x.sum_dim_intlist([-1i64].as_slice(), false, None)),
        case("greatest", |x| x.amax([2, 3], true)),
        case("sums so far", |x| x.cumsum(2, None)),
    ];
    for (name, bins) in
        [("bins of 1", [1, 1]), ("bins of 2", [2, 2]), ("bins of 3", [3, 3]), ("bins of 6 and 5", [6, 5])]
    {
        cases.push(case(name, move |x| x.adaptive_avg_pool2d(bins)));
    }
    compare(cases, &[[1, 4, 8, 8], [3, 4, 8, 8], [2, 4, 12, 20], [1, 4, 7, 13]]);
}

#[test]
fn resizing() {
    let none = None::<&[i64]>;
    let by = |factors: [f64; 2]| factors;
    let mut cases = vec![
        case("nearest, by a factor", move |x| x.upsample_nearest2d_vec(none, by([2.0, 3.0]).as_slice())),
        case("bilinear, by a factor", move |x| x.upsample_bilinear2d_vec(none, false, by([2.0, 4.0]).as_slice())),
        case("aligned, by a factor", move |x| x.upsample_bilinear2d_vec(none, true, by([4.0, 4.0]).as_slice())),
        case("bicubic, by a factor", move |x| x.upsample_bicubic2d_vec(none, false, by([2.0, 2.0]).as_slice())),
        case("bilinear, to a size", |x| x.upsample_bilinear2d([13, 9], false, None, None)),
        case("aligned, to a size", |x| x.upsample_bilinear2d([13, 9], true, None, None)),
        case("nearest, to a size", |x| x.upsample_nearest2d([16, 40], None, None)),
        case("bicubic, to a size", |x| x.upsample_bicubic2d([5, 17], false, None, None)),
        case("a single pixel", |x| {
            let mean = x.adaptive_avg_pool2d([1, 1]);
            resize_like(&mean, x, Interpolation::Bilinear, true).unwrap()
        }),
        case("to the size of another, nearest", |x| {
            resize_like(&x.avg_pool2d([4, 4], [4, 4], [0, 0], false, true, None), x, Interpolation::Nearest, false)
                .unwrap()
        }),
    ];
    for (name, bins) in [("bins of 1, resized", 1), ("bins of 2, resized", 2), ("bins of 6, resized", 6)] {
        cases.push(case(name, move |x| {
            let pooled = x.adaptive_avg_pool2d([bins, bins]);
            Tensor::cat(&[x, &resize_like(&pooled, x, Interpolation::Bilinear, false).unwrap()], 1)
        }));
    }
    let positions = random(&[1, 4, 7, 7]);
    cases.push(case("positions of any size", move |x| {
        x + resize_like(&positions, x, Interpolation::Bicubic, false).unwrap()
    }));
    compare(cases, &ANY);
}

#[test]
fn shapes() {
    let token = random(&[1, 1, 4]);
    let cases = vec![
        case("flattened and back", |x| x.flatten(2, -1).transpose(1, 2).relu().transpose(1, 2).reshape_as(x)),
        case("viewed", |x| x.view([-1, 2, 2, 64]).transpose(1, 2).reshape([-1, 4, 8, 8])),
        case("unflattened", |x| x.unflatten(1, [2, 2]).transpose(1, 2).flatten(1, 2).view_as(x)),
        case("contiguous", |x| x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])),
        case("sliced", |x| x.slice(1, 1, None, 2) + x.narrow(1, 0, 2) + x.slice(1, -2, None, 1)),
        case("selected", |x| x.select(1, -1) * x.select(1, 0)),
        case("chunked", |x| {
            let parts = x.chunk(2, 1);
            &parts[0] * parts[1].sigmoid()
        }),
        case("chunked unevenly", |x| Tensor::cat(&x.chunk(3, 1).iter().rev().collect::<Vec<_>>(), 1)),
        case("split", |x| Tensor::cat(&x.split(3, 1).iter().rev().collect::<Vec<_>>(), 1)),
        case("split to sizes", |x| {
            let parts = x.split_with_sizes([1, 3], 1);
            &parts[0] + &parts[1]
        }),
        case("unbound", |x| {
            let parts = x.unflatten(1, [2, 2]).unbind(1);
            &parts[0] - &parts[1]
        }),
        case("stacked", |x| Tensor::stack(&[x, &x.relu()], 2).flatten(1, 2)),
        case("unsqueezed and squeezed", |x| x.unsqueeze(-1).relu().squeeze_dim(-1)),
        case("a squeeze of nothing", |x| x.squeeze_dim(1)),
        case("expanded", |x| x.mean_dim([1i64].as_slice(), true, None).expand([-1, 4, -1, -1], false)),
        case("expanded as", |x| x.adaptive_avg_pool2d([1, 1]).expand_as(x)),
        case("repeated", |x| x.repeat([1, 2, 1, 1])),
        case("a token before the others", move |x| {
            let tokens = x.flatten(2, 3).transpose(1, 2);
            let first = token.expand_as(&tokens.narrow(1, 0, 1));
            Tensor::cat(&[first, tokens], 1)
        }),
    ];
    compare(cases, &[[1, 4, 8, 8], [3, 4, 8, 8]]);
}

#[test]
fn attention() {
    let vs = tch::nn::VarStore::new(Device::Cpu);
    let layer = |name: &str, output: i64| tch::nn::linear(vs.root() / name, 8, output, Default::default());
    let (qkv, out, fused, no_bias) = (layer("qkv", 24), layer("out", 8), layer("fused", 24), random(&[8, 8]));
    let (angles, bias) = (random(&[64, 4]), random(&[8]));
    let heads = |x: &Tensor| x.unflatten(-1, [2, 4]).transpose(1, 2);
    let tokens = |x: &Tensor| x.flatten(2, 3).transpose(1, 2);
    let cases = vec![
        case("by products", move |x| {
            let parts = qkv.forward(&tokens(x)).chunk(3, -1);
            let [query, key, value] = [0, 1, 2].map(|part| heads(&parts[part]));
            let shares = (query * 0.5).matmul(&key.transpose(-2, -1)).softmax(-1, None);
            out.forward(&shares.matmul(&value).transpose(1, 2).flatten(2, 3)).transpose(1, 2).reshape_as(x)
        }),
        case("in one, with rotated positions", move |x| {
            let parts = fused.forward(&tokens(x)).unflatten(-1, [3, 2, 4]).permute([2, 0, 3, 1, 4]).unbind(0);
            let turned = |x: &Tensor| {
                let halves = x.chunk(2, -1);
                let half = Tensor::cat(&[halves[1].neg(), halves[0].shallow_clone()], -1);
                x * angles.cos() + half * angles.sin()
            };
            let (query, key) = (turned(&parts[0]), turned(&parts[1]));
            let made =
                Tensor::scaled_dot_product_attention::<&Tensor>(&query, &key, &parts[2], None, 0.0, false, None, false);
            made.transpose(1, 2).reshape([-1, 64, 8])
        }),
        case("linear without bias, addmm, bmm", move |x| {
            let tokens = tokens(x);
            let flat = tokens.reshape([-1, 8]);
            let sum = bias.addmm(&flat, &no_bias.tr()) + flat.linear::<Tensor>(&no_bias, None) + flat.mm(&no_bias);
            tokens.bmm(&tokens.transpose(1, 2)).mean_dim([-1i64].as_slice(), true, None) + sum.view_as(&tokens)
        }),
    ];
    let mut vs = vs;
    vs.freeze();
    compare(cases, &[[1, 8, 8, 8], [3, 8, 8, 8]]);
}

#[test]
fn attention_to_fewer_keys_works_for_any_size() {
    let vs = tch::nn::VarStore::new(Device::Cpu);
    let [query, key, value] = ["q", "k", "v"].map(|name| tch::nn::linear(vs.root() / name, 8, 8, Default::default()));
    let weight = random(&[8, 8, 2, 2]) * 0.2;
    let mut vs = vs;
    vs.freeze();
    let heads = |x: &Tensor| x.unflatten(-1, [2, 4]).transpose(1, 2);
    let case = case("SegFormer's", move |x| {
        let tokens = x.flatten(2, -1).transpose(1, 2);
        let map = tokens.transpose(1, 2).reshape_as(x);
        let fewer = map.conv2d(&weight, None::<Tensor>, [2, 2], [0, 0], [1, 1], 1).flatten(2, -1).transpose(1, 2);
        let [q, k, v] = [query.forward(&tokens), key.forward(&fewer), value.forward(&fewer)].map(|x| heads(&x));
        let made = Tensor::scaled_dot_product_attention::<&Tensor>(&q, &k, &v, None, 0.0, false, None, false);
        made.transpose(1, 2).flatten(2, 3).transpose(1, 2).reshape_as(x)
    });
    compare(vec![case], &[[1, 8, 8, 8], [3, 8, 8, 8], [2, 8, 12, 6]]);
}
