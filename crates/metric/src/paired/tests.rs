use super::*;

#[test]
fn all_sign_flips_are_counted() {
    // Of 2^5 flips only the observed one and its mirror are as far.
    let same = paired(&[0.1; 5]).unwrap();
    assert_eq!((same.p, same.images), (2.0 / 32.0, 5));
    assert!((same.mean - 0.1).abs() < 1e-15);
    assert_eq!(paired(&[0.1, -0.1]).unwrap().p, 1.0);
    assert_eq!((paired(&[0.25]).unwrap().p, paired(&[0.25]).unwrap().interval), (1.0, None));
    assert!(paired(&[]).is_none());
}

#[test]
fn networks_that_agree_are_not_told_apart_and_the_sign_does_not_matter() {
    for count in [8, 200] {
        assert_eq!(paired(&vec![0.0; count]).unwrap().p, 1.0);
        let mixed: Vec<f64> = (0..count).map(|n| if n % 2 == 0 { 0.03 } else { -0.02 }).collect();
        let other: Vec<f64> = mixed.iter().map(|difference| -difference).collect();
        let [one, other] = [&mixed, &other].map(|differences| paired(differences).unwrap());
        assert_eq!((one.p, one.mean), (other.p, -other.mean));
    }
}

#[test]
fn a_clear_difference_has_the_smallest_p_of_the_draws() {
    let differences: Vec<f64> = (0..100).map(|n| 0.05 + 0.001 * f64::from(n % 7)).collect();
    let found = paired(&differences).unwrap();
    assert_eq!(found.p, 1.0 / 10_000.0);
    let interval = found.interval.unwrap();
    assert!(0.05 < interval.low && interval.low < found.mean && found.mean < interval.high && interval.high < 0.056);
}
