//! The example answers each line, in order.

use super::{Place, data};
use export::Format;
use image::RgbImage;
use serde_json::{Value, json};
use tch::Kind;

#[path = "../../examples/serve.rs"]
#[allow(dead_code, reason = "its main is for `cargo run`")]
mod example;

#[test]
fn a_line_in_is_a_line_out() {
    let place = Place::new(&data(json!({})), &[Format::Safetensors], Kind::Float);
    let model = place.open().unwrap();
    let [photo, gone] = ["photo.png", "gone.png"].map(|name| place.path(name).display().to_string());
    RgbImage::from_fn(31, 20, |x, y| image::Rgb([(x * 8) as u8, (y * 12) as u8, 90])).save(&photo).unwrap();
    let mut answers = Vec::new();
    example::serve(&model, format!("{photo}\n{gone}\n\n{photo}\n").as_bytes(), &mut answers).unwrap();
    let answers: Vec<Value> =
        String::from_utf8(answers).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[3], answers[0]);
    assert_eq!(
        (&answers[0]["file"], &answers[0]["height"], &answers[0]["width"]),
        (&json!(photo), &json!(20), &json!(31))
    );
    let classes = answers[0]["classes"].as_array().unwrap();
    assert_eq!(classes.iter().map(|class| class["pixels"].as_u64().unwrap()).sum::<u64>(), 20 * 31);
    assert_eq!((&classes[2]["id"], &classes[2]["name"]), (&json!(2), &json!("dog")));
    assert!(answers[1]["error"].as_str().unwrap().contains("gone.png"));
    assert_eq!((&answers[1]["file"], &answers[1]["classes"]), (&json!(gone), &Value::Null));
    assert!(answers[2]["error"].is_string(), "an empty line is answered, too");
}
