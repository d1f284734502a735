use super::*;
use crate::error::Error;
use crate::load::Sample;
use crate::load::class_index::{ClassIndex, Present};
use crate::load::sampler::Sampler;
use std::collections::BTreeMap;

/// Eight samples: all show class 0, four class 1, one class 2, and one nothing that counts.
struct Some8(Vec<Vec<Present>>);

impl Some8 {
    fn new() -> Self {
        let shown =
            |classes: &[u8]| classes.iter().map(|class| Present { class: *class, pixels: 9, listed: 9 }).collect();
        Self([&[0u8] as &[u8], &[0, 1], &[0, 1, 2], &[0, 1], &[], &[0], &[0], &[0, 1]].map(shown).to_vec())
    }
}

impl ClassIndex for Some8 {
    fn present(&self, index: u64) -> &[Present] {
        &self.0[index as usize]
    }
    fn pixel(&self, _: u64, _: u8, _: u32) -> Result<Option<[u32; 2]>, Error> {
        Ok(None)
    }
}

impl Dataset for Some8 {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some([3, 3])
    }
    fn name(&self, index: u64) -> String {
        index.to_string()
    }
    fn load(&self, index: u64, _: &mut Sample) -> Result<(), Error> {
        Err(Error::Index { index, len: self.len() })
    }
    fn class_index(&self) -> Option<&dyn ClassIndex> {
        Some(self)
    }
}

fn epochs(sampler: Sampler, epoch_samples: Option<u64>, seed: u64) -> Epochs {
    let config = LoaderConfig { sampler, epoch_samples, ..LoaderConfig::default() };
    Epochs::new(&config, &Some8::new(), seed).unwrap()
}

fn draws(epochs: &Epochs, epoch: u64) -> Vec<Draw> {
    let of = epochs.epoch(epoch);
    (0..epochs.length()).map(|place| of.draw(place)).collect()
}

#[test]
fn an_epoch_without_settings_is_the_permutation_that_it_always_was() {
    let epochs = epochs(Sampler::Uniform {}, None, 3);
    for epoch in 0..5 {
        let order = Random::new(3, Purpose::Order, epoch, 0).permutation(8);
        let expected: Vec<Draw> = order.into_iter().map(|index| Draw { index, turn: epoch }).collect();
        assert_eq!(draws(&epochs, epoch), expected);
    }
}

#[test]
fn epochs_of_any_length_are_pieces_of_one_stream() {
    let whole = epochs(Sampler::Uniform {}, None, 5);
    let stream: Vec<Draw> = (0..30).flat_map(|epoch| draws(&whole, epoch)).collect();
    for length in [1, 3, 8, 11, 16, 40] {
        let epochs = epochs(Sampler::Uniform {}, Some(length), 5);
        let pieces: Vec<Draw> = (0..240 / length).flat_map(|epoch| draws(&epochs, epoch)).collect();
        assert_eq!(pieces.len() as u64, 240 / length * length);
        assert_eq!(pieces, stream[..pieces.len()]);
    }
    // So after k passes every sample was there k times, and no augmentation came twice.
    let count = (0..8).map(|index| stream.iter().filter(|draw| draw.index == index).count());
    assert!(count.into_iter().all(|count| count == 30));
}

#[test]
fn repeat_factors_are_those_of_lvis() {
    // Frequencies: 7/8, 4/8 and 1/8. With a threshold of 0.5 only class 2 is rare: sqrt(0.5 / 0.125) = 2.
    let factors = |sampler: Sampler| sampler.factors(Some(&Some8::new()), 8).unwrap().unwrap();
    let rare = factors(Sampler::RepeatFactors { threshold: 0.5 });
    assert_eq!(rare, [1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    // With 0.8 class 1 is, too: sqrt(0.8 / 0.5) = 1.2649, sqrt(0.8 / 0.125) = 2.5298.
    let rare = factors(Sampler::RepeatFactors { threshold: 0.8 });
    for (factor, expected) in rare.iter().zip([1.0, 1.264_911, 2.529_822, 1.264_911, 1.0, 1.0, 1.0, 1.264_911]) {
        assert!((factor - expected).abs() < 1e-6, "{rare:?}");
    }
    // 8/7 for class 0, 2 for class 1 and 8 for class 2, over the 1 of a sample that shows nothing.
    let balanced = factors(Sampler::Balanced {});
    for (factor, expected) in balanced.iter().zip([8.0 / 7.0, 2.0, 8.0, 2.0, 1.0, 8.0 / 7.0, 8.0 / 7.0, 2.0]) {
        assert!((factor - expected).abs() < 1e-12, "{balanced:?}");
    }
    assert_eq!(Sampler::Uniform {}.factors(None, 8).unwrap(), None);
}

#[test]
fn samples_come_as_often_as_their_factors_say() {
    for sampler in [Sampler::RepeatFactors { threshold: 0.8 }, Sampler::Balanced {}] {
        let factors = sampler.factors(Some(&Some8::new()), 8).unwrap().unwrap();
        let sum: f64 = factors.iter().sum();
        // One epoch is one pass: each sample is drawn one of the two whole numbers around its share of it.
        let pass = sum.ceil() as u64;
        let of_pass = epochs(sampler, Some(pass), 11);
        let mut counts = [0u64; 8];
        for epoch in 0..2000 {
            let mut own = [0u64; 8];
            draws(&of_pass, epoch).iter().for_each(|draw| own[draw.index as usize] += 1);
            for (count, factor) in own.iter().zip(&factors) {
                let mean = factor * pass as f64 / sum;
                assert!((mean - *count as f64).abs() < 1.0 && *count >= 1, "{own:?}");
            }
            counts.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        }
        for (count, factor) in counts.iter().zip(&factors) {
            let mean = 2000.0 * factor * pass as f64 / sum;
            // A count of a pass deviates by at most 0.5, so 2000 of them by 22.4; four such deviations.
            assert!((*count as f64 - mean).abs() < 90.0, "{counts:?}, expected {mean}");
        }
    }
}

#[test]
fn no_draw_of_a_sample_is_augmented_like_another() {
    for (sampler, length) in [(Sampler::Balanced {}, 5), (Sampler::Balanced {}, 50), (Sampler::Uniform {}, 20)] {
        let epochs = epochs(sampler, Some(length), 2);
        let mut seen = BTreeMap::new();
        for (place, draw) in (0..40).flat_map(|epoch| draws(&epochs, epoch)).enumerate() {
            assert_eq!(seen.insert((draw.index, draw.turn), place), None);
        }
        assert_eq!(draws(&epochs, 7), draws(&epochs, 7));
    }
    assert_ne!(draws(&epochs(Sampler::Balanced {}, None, 2), 0), draws(&epochs(Sampler::Balanced {}, None, 3), 0));
}

#[test]
fn samplers_that_cannot_work_are_refused_by_name() {
    let refused = |sampler: Sampler, index: Option<&dyn ClassIndex>| {
        let invalid = sampler.factors(index, 8).unwrap_err();
        assert_eq!(invalid.key, "loader.sampler");
        invalid.problem
    };
    assert!(refused(Sampler::Balanced {}, None).contains("Config::open_cached"));
    let nothing = refused(Sampler::RepeatFactors { threshold: 0.1 }, Some(&Some8::new()));
    assert!(nothing.contains("the rarest class is in 0.1250 of the 8 samples"), "{nothing}");
    let mut same = Some8::new();
    let all = same.0[2].clone();
    same.0.iter_mut().for_each(|shown| shown.clone_from(&all));
    assert!(refused(Sampler::Balanced {}, Some(&same)).contains("`foreground` of random_crop"));
    for (threshold, shown) in [(0.0, "is 0"), (-0.5, "is -0.5"), (1.5, "is 1.5"), (f64::NAN, "is NaN")] {
        let config = LoaderConfig { sampler: Sampler::RepeatFactors { threshold }, ..LoaderConfig::default() };
        let invalid = config.check().unwrap_err();
        assert_eq!(invalid.key, "sampler.threshold");
        assert!(invalid.problem.ends_with(shown), "{}", invalid.problem);
    }
    for samples in [0, 100_000_001] {
        let config = LoaderConfig { epoch_samples: Some(samples), ..LoaderConfig::default() };
        assert_eq!(config.check().unwrap_err().key, "epoch_samples");
    }
    let config = LoaderConfig { cache_folder: Some("c".into()), ..LoaderConfig::default() };
    assert_eq!(config.check().unwrap_err().key, "cache_folder");
    LoaderConfig { sampler: Sampler::Balanced {}, ..config.clone() }.check().unwrap();
    config.check_with(true).unwrap();
}
