use super::*;

fn tally(hits: u64, support: u64, predicted: u64) -> Tally {
    Tally { hits, support, predicted }
}

fn of(images: &[Vec<Tally>], name: &str) -> Option<Interval> {
    let classes = ["a", "b"].map(String::from);
    intervals(images, &classes).into_iter().find(|(found, _)| found == name).map(|(_, interval)| interval)
}

#[test]
fn an_interval_holds_the_score_and_grows_with_the_spread_of_the_images() {
    let images = |spread: u64| -> Vec<Vec<Tally>> {
        let image = |n: u64| vec![tally(60 + n % 5 * spread, 100, 100), tally(50, 90, 90)];
        (0..50).map(image).collect()
    };
    let mut sum = tally(0, 0, 0);
    images(4).iter().for_each(|image| sum.add(&image[0], 1));
    let [narrow, wide] = [1, 4].map(|spread| of(&images(spread), "iou/a").unwrap());
    assert!(wide.low < sum.iou().unwrap() && sum.iou().unwrap() < wide.high);
    assert!(narrow.high - narrow.low < 0.5 * (wide.high - wide.low));
    let same = of(&images(4), "iou/b").unwrap();
    assert_eq!((same.low, same.high), (50.0 / 130.0, 50.0 / 130.0), "all images are alike");
}

#[test]
fn a_class_in_one_image_has_the_interval_of_that_image_alone() {
    let mut images = vec![vec![tally(80, 100, 90), tally(0, 0, 0)]; 20];
    images[7][1] = tally(5, 10, 10);
    let found = of(&images, "iou/b").unwrap();
    // Resamples without the image say nothing of the class, the others all the same.
    assert_eq!((found.low, found.high), (1.0 / 3.0, 1.0 / 3.0));
    assert_eq!(of(&vec![vec![tally(80, 100, 90), tally(0, 0, 0)]; 20], "iou/b"), None);
}

#[test]
fn one_image_shows_no_spread() {
    let image = vec![tally(1, 2, 2), tally(1, 2, 2)];
    // An image without a valid pixel is none.
    let ignored = vec![tally(0, 0, 0); 2];
    assert_eq!(of(&[image.clone(), ignored], "mean_iou"), None);
    assert_eq!((of_mean(&[0.5]), of_mean(&[])), (None, None));
    assert!(of(&[image.clone(), image], "mean_iou").is_some());
}
