use super::*;
use metric::Tally;

/// Returns an image of two classes, of which so many pixels of 50 each are found.
fn image(name: &str, hits: [u64; 2]) -> Image {
    let tally = |class: usize| Tally { hits: hits[class], support: 50, predicted: hits[class] + 50 - hits[1 - class] };
    Image { name: name.into(), tallies: vec![tally(0), tally(1)], boundaries: Vec::new() }
}

fn scored(images: Vec<Image>) -> Scored {
    Scored {
        classes: ["sky", "cat"].map(String::from).into(),
        scored_on: "all of images stretched to 10 x 10 pixels".into(),
        data: Fingerprint { samples: images.len() as u64, hash: "0".into() },
        images,
    }
}

fn refused(own: &Scored, other: &Scored) -> String {
    match compare(own, other) {
        Comparison::Refused(reason) => reason,
        Comparison::Paired(paired) => panic!("{paired:?}"),
    }
}

fn numbered(count: usize, hits: impl Fn(usize) -> [u64; 2]) -> Vec<Image> {
    (0..count).map(|number| image(&number.to_string(), hits(number))).collect()
}

#[test]
fn a_run_that_is_better_on_every_image_is_better() {
    let better = scored(numbered(12, |number| [40 + (number as u64 % 3), 45]));
    let worse = scored(numbered(12, |number| [30 + (number as u64 % 4), 45]));
    let Comparison::Paired(found) = compare(&better, &worse) else { panic!() };
    assert_eq!((found.images, found.left_out, found.p), (12, 0, 2.0 / 4096.0));
    assert!(found.mean > 0.05 && found.interval.is_some_and(|interval| interval.low > 0.0));
    let Comparison::Paired(back) = compare(&worse, &better) else { panic!() };
    assert_eq!((back.mean, back.p), (-found.mean, found.p));
    let Comparison::Paired(same) = compare(&better, &better) else { panic!() };
    assert_eq!((same.mean, same.p), (0.0, 1.0));
}

#[test]
fn only_images_that_both_validate_count() {
    let own = scored(numbered(6, |_| [40, 40]));
    let mut theirs = numbered(8, |_| [35, 35]);
    theirs.drain(..2);
    // Of two images of one name, each is compared with its own kind.
    theirs.push(image("5", [50, 50]));
    let Comparison::Paired(found) = compare(&own, &scored(theirs)) else { panic!() };
    assert_eq!((found.images, found.left_out), (4, 2 + 2 + 1));
    assert!(found.mean > 0.0);
    assert!(refused(&own, &scored(vec![image("x", [1, 1])])).contains("no image in common"));
}

#[test]
fn other_data_are_refused_in_words() {
    let own = scored(numbered(4, |_| [40, 40]));
    let changed = |change: fn(&mut Scored)| {
        let mut other = own.clone();
        change(&mut other);
        refused(&own, &other)
    };
    let classes = changed(|other| other.classes[1] = "dog".into());
    assert_eq!(classes, "the validation data differ (the classes are sky, cat in the former, sky, dog in the latter)");
    assert!(changed(|other| other.scored_on = "another size".into()).contains("the latter on another size"));
    assert!(changed(|other| other.images[2].tallies[0].support += 1).contains("the mask of '2' has other pixels"));
    assert!(changed(|other| other.data.hash = "1".into()).contains("files have other sizes"));
    let ignored = scored(vec![Image { tallies: vec![Tally::default(); 2], ..image("a", [0, 0]) }]);
    assert_eq!(refused(&ignored, &ignored), "no image that both validate has a scored pixel");
}
