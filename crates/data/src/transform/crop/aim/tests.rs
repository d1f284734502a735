use super::*;
use crate::load::class_index::Present;
use crate::transform::random::Purpose;

fn stream(index: u64) -> Random {
    Random::new(1, Purpose::Augment, 0, index)
}

/// Class 0 with eight pixels, class 2 with pixels at (0, 5) and (3, 1), class 5 with one at (2, 2).
struct Few;

impl ClassIndex for Few {
    fn present(&self, index: u64) -> &[Present] {
        const PRESENT: [Present; 3] = [
            Present { class: 0, pixels: 8, listed: 8 },
            Present { class: 2, pixels: 2, listed: 2 },
            Present { class: 5, pixels: 1, listed: 1 },
        ];
        if index == 0 { &PRESENT } else { &PRESENT[..1] }
    }
    fn pixel(&self, _: u64, class: u8, place: u32) -> Result<Option<[u32; 2]>, Error> {
        Ok(Some(match (class, place) {
            (2, 0) => [0, 5],
            (2, _) => [3, 1],
            (5, _) => [2, 2],
            _ => [9, place],
        }))
    }
}

/// The same classes in a mask of four rows of eight pixels.
fn mask() -> Vec<u8> {
    let mut ids = vec![IGNORE; 32];
    ids[8..16].fill(0);
    (ids[5], ids[25], ids[18]) = (2, 2, 5);
    ids
}

#[test]
fn classes_are_equally_likely_and_so_are_the_pixels_of_one() {
    let ids = mask();
    for pixels in [Pixels::Indexed(&Few, 0), Pixels::Mask(&ids, 8)] {
        let mut counts = [0u64; 3];
        for index in 0..8000 {
            let pixel = pixels.draw(None, &mut stream(index)).unwrap().unwrap();
            counts[[[0, 5], [3, 1], [2, 2]].iter().position(|known| *known == pixel).unwrap()] += 1;
        }
        // 1/4, 1/4 and 1/2: chi squared with two degrees of freedom is below 13.8 in 99.9 % of all cases.
        let squared = |count: u64, mean: f64| (count as f64 - mean).powi(2) / mean;
        let chi = squared(counts[0], 2000.0) + squared(counts[1], 2000.0) + squared(counts[2], 4000.0);
        assert!(chi < 13.8, "{counts:?}");
        // A class that is named is the only one, and may be the background.
        for index in 0..50 {
            assert_eq!(pixels.draw(Some(5), &mut stream(index)).unwrap(), Some([2, 2]));
            assert_eq!(
                pixels.draw(Some(0), &mut stream(index)).unwrap().map(|[row, _]| row == 9 || row == 1),
                Some(true)
            );
            assert_eq!(pixels.draw(Some(7), &mut stream(index)).unwrap(), None);
        }
    }
    assert_eq!(Pixels::Indexed(&Few, 1).draw(None, &mut stream(0)).unwrap(), None);
    assert_eq!(Pixels::Mask(&[0, IGNORE, 0], 3).draw(None, &mut stream(0)).unwrap(), None);
}

#[test]
fn a_piece_is_centred_as_far_as_the_edges_allow() {
    let placed = |whole, size, pixel| {
        let Rectangle { top, left, height, width } = place(whole, size, Some(pixel), &mut stream(0));
        [top, left, height, width]
    };
    // As nnU-Net: the piece begins half its size before the pixel.
    assert_eq!(placed([100, 60], [16, 10], [50, 30]), [42, 25, 16, 10]);
    assert_eq!(placed([100, 60], [15, 9], [50, 30]), [43, 26, 15, 9]);
    assert_eq!(placed([100, 60], [16, 10], [3, 58]), [0, 50, 16, 10]);
    assert_eq!(placed([100, 60], [16, 10], [99, 0]), [84, 0, 16, 10]);
    assert_eq!(placed([10, 60], [16, 10], [9, 30]), [0, 25, 10, 10]);
    assert_eq!(placed([10, 5], [16, 10], [9, 4]), [0, 0, 10, 5]);
}

#[test]
fn a_mix_is_what_mmsegmentation_takes() {
    let mixed = |ids: &[u8], most| is_mixed(ids.chunks(3), most);
    // numpy: len(cnt) > 1 and max(cnt) / sum(cnt) < cat_max_ratio, without the ignored label.
    assert!(mixed(&[0, 0, 0, 1], 0.76) && !mixed(&[0, 0, 0, 1], 0.75));
    assert!(!mixed(&[0, 0, 0, 0], 0.999) && !mixed(&[IGNORE; 6], 0.5) && !mixed(&[], 0.5));
    assert!(!mixed(&[4, 4, IGNORE, IGNORE, IGNORE, IGNORE], 0.9));
    assert!(mixed(&[4, 4, 7, IGNORE, IGNORE, IGNORE], 0.67) && !mixed(&[4, 4, 7, IGNORE, IGNORE, IGNORE], 0.66));
}
