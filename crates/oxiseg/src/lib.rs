//! The crates of oxiseg under one name and one version: training, validation, prediction and export of segmentation
//! networks on libtorch, and a training loop for any other network.
//!
//! # Synopsis
//!
//! ```toml
//! [dependencies]
//! oxiseg = { git = "…", rev = "…" } # training loop, optimizers, losses, metrics, checkpoints
//! ```
//!
//! ```sh
//! scripts/libtorch --for my_project # in a clone of oxiseg, once on each machine
//! cd my_project && cargo run
//! ```
//!
//! The command fetches libtorch, or takes yours, and writes into `my_project/.cargo/config.toml` where it is. Programs
//! then find it when they are built and when they start. A feature that needs no libtorch needs no such command.
//!
//! `oxiseg::data`, `oxiseg::model`, … are the crates of these names, so a project may have a `data` and a `model` of
//! its own. tch is `oxiseg::tch`; cargo refuses a second version of it in one program.
//!
//! # Features
//!
//! | feature | default | what it adds | libtorch |
//! |---|---|---|---|
//! | `contract` | yes | `contract`: the traits and types that the other crates share; `tch`, `torch_ext` | yes |
//! | `executors` | yes | `executors`: `Trainer`, `Validator`, `Predictor` | yes |
//! | `optim` | yes | `optim`: Adam, AdamW, SGD, RAdam, Lion; schedules, clipping, accumulation, averages | yes |
//! | `loss` | yes | `loss`: cross entropy, focal, OHEM, Dice, Tversky, Lovász, …, and their sums | yes |
//! | `metric` | yes | `metric`: scores of a segmentation from one confusion matrix | yes |
//! | `checkpoint` | yes | `checkpoint`: a durable store, each checkpoint whole or not at all | yes |
//! | `session` | | `session`: a run that cannot be lost around the loop; with `summary` and `terminal` | yes |
//! | `distributed` | | `distributed`: one training by several processes, on one machine or many | yes |
//! | `data` | | `data`: data sets of images and masks, decoding, transforms, the threaded loader | yes |
//! | `model` | | `model`: UNets, also with encoders MobileNetV2 and ResNet | yes |
//! | `weights` | | `weights`: safetensors and PyTorch state dicts, read as data | yes |
//! | `export` | | `export`: TorchScript and ONNX | yes |
//! | `saved` | | `saved`: opens a saved network and predicts images; with the crates that it is made of | yes |
//! | `onnx-runtime` | | `export::OnnxRuntime`, which runs an ONNX file | yes |
//! | `fetch` | | `fetch`: a file over HTTP, resumable, verified and pinned; for published weights | |
//! | `summary` | | `summary`: TensorBoard and `metrics.jsonl` | |
//! | `annotation` | | `annotation`: polygons and run lengths of class maps, and other programs' files of them | |
//! | `raster` | | `raster`: images of any bands and bits in windows; GeoTIFF, NIfTI, NumPy | |
//! | `postprocess` | | `postprocess`: the largest component, minimum areas and filled holes of class maps | |
//! | `report` | | `report`: a run as one HTML page | |
//! | `terminal` | | `terminal`: progress bars, tables and the dashboard | |
//! | `full` | | all of the above but `onnx-runtime` | yes |
//! | `download-libtorch` | | tch downloads libtorch while it is built, where none is named | yes |
//!
//! # Example
//!
//! A network, data and a loop of one's own, with checkpoints: `cargo run -p oxiseg --example resume -- FOLDER`. Killed
//! at any moment and started again it ends with the same weights, to the bit.
//!
#![doc = concat!("```no_run\n", include_str!("../examples/resume.rs"), "```")]
//!
//! # What it does not do
//!
//! - It adds nothing to the crates; each one's front page says what it does and does not do.
//! - It does not find libtorch at run time by itself: without `scripts/libtorch --for` set `LIBTORCH` for the build and
//!   `LD_LIBRARY_PATH` for the program.
//! - It is tested on Linux on x86-64, with the version of tch and libtorch that it names and no other.

#[cfg(feature = "annotation")]
pub use annotation;
#[cfg(feature = "checkpoint")]
pub use checkpoint;
#[cfg(feature = "contract")]
pub use contract;
#[cfg(feature = "data")]
pub use data;
#[cfg(feature = "distributed")]
pub use distributed;
#[cfg(feature = "executors")]
pub use executors;
#[cfg(feature = "export")]
pub use export;
#[cfg(feature = "fetch")]
pub use fetch;
#[cfg(feature = "loss")]
pub use loss;
#[cfg(feature = "metric")]
pub use metric;
#[cfg(feature = "model")]
pub use model;
#[cfg(feature = "optim")]
pub use optim;
#[cfg(feature = "postprocess")]
pub use postprocess;
#[cfg(feature = "raster")]
pub use raster;
#[cfg(feature = "report")]
pub use report;
#[cfg(feature = "saved")]
pub use saved;
#[cfg(feature = "session")]
pub use session;
#[cfg(feature = "summary")]
pub use summary;
#[cfg(feature = "contract")]
pub use tch;
#[cfg(feature = "terminal")]
pub use terminal;
#[cfg(feature = "contract")]
pub use torch_ext;
#[cfg(feature = "weights")]
pub use weights;
