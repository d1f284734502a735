//! Serves a saved network over standard input and output: the path of an image per line in, a line of JSON out, in the
//! same order. Another program starts it once, and the network stays in memory:
//!
//! ```sh
//! cargo run -p saved --example serve -- saved_models/pets/1
//! ls photos/*.jpg | cargo run -p saved --example serve -- saved_models/pets/1 > areas.jsonl
//! ```
//!
//! A line has the image's height and width and the pixels of each class, or the reason why the image has none:
//!
//! ```json
//! {"classes":[{"id":0,"name":"pet","pixels":81920}],"file":"photos/a.jpg","height":320,"width":256}
//! {"error":"cannot read photos/b.jpg: No such file or directory (os error 2)","file":"photos/b.jpg"}
//! ```

use saved::Model;
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;

/// Answers each line of `requests` until their end.
pub fn serve(model: &Model, requests: impl BufRead, mut answers: impl Write) -> std::io::Result<()> {
    for file in requests.lines() {
        let file = file?;
        let mut answer = areas(model, &file).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        answer["file"] = file.into();
        writeln!(answers, "{answer}")?;
        // The asker waits for this line before it sends the next.
        answers.flush()?;
    }
    Ok(())
}

/// Returns the number of pixels of each class in an image.
fn areas(model: &Model, file: &str) -> Result<Value, saved::Error> {
    let prediction = model.predict(file)?;
    let mut pixels = [0u64; 256];
    prediction.class_map().iter().for_each(|id| pixels[usize::from(*id)] += 1);
    let area =
        |class: &saved::Class| json!({ "id": class.id, "name": class.name, "pixels": pixels[usize::from(class.id)] });
    let classes: Vec<Value> = model.classes().iter().map(area).collect();
    let [height, width] = prediction.size();
    Ok(json!({ "height": height, "width": width, "classes": classes }))
}

fn run() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder of a saved network, such as saved_models/pets/1")?;
    serve(&Model::open(folder)?, stdin().lock(), stdout().lock())?;
    Ok(())
}

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}
