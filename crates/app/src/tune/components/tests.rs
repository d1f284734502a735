use super::super::kept::Part;
use super::super::weights;
use super::*;

/// Class of a pixel as a digit; `.` in a mask is ignored.
fn ids(rows: &[&str]) -> Vec<u8> {
    rows.concat().bytes().map(|byte| if byte == b'.' { 255 } else { byte - b'0' }).collect()
}

/// Keeps an image whose classes are certain, in two parts.
fn image(spool: &Spool, map: &[&str], mask: &[&str]) -> Kept {
    let width = map[0].len();
    let (map, mask) = (ids(map), ids(mask));
    let part = |(map, mask): (&[u8], &[u8])| {
        let contenders: Vec<u8> = map.iter().flat_map(|id| [1, *id]).collect();
        let [contenders, mask, map] = [&contenders, mask, map].map(|bytes: &[u8]| spool.append(bytes).unwrap());
        Part { contenders, mask, map }
    };
    let at = width * (map.len() / width).div_ceil(2);
    let parts = map.chunks(at).zip(mask.chunks(at)).map(part).collect();
    Kept { width: width as u32, parts }
}

/// Chooses steps for two classes, and checks that the counts are those of the changed maps.
fn chosen(spool: &Spool, all: &[Kept]) -> (OfClass, Vec<Tried>, f64) {
    let mut tried = Vec::new();
    let counts = weights::counts(spool, all, 2).unwrap();
    let mut steps = ["ground", "disc"].map(OfClass::plain);
    let counts = choose_steps(spool, all, Neighbours::Four, counts, &mut steps, |one| tried.push(one)).unwrap();
    let mut recounted = Confusion::new(2, &[]);
    for kept in all {
        let (runs, mask) = (runs(spool, kept).unwrap(), mask(spool, kept).unwrap());
        let map = runs.pixels(0..runs.height());
        mask.iter().zip(&map).for_each(|(target, id)| recounted.add((*target).into(), (*id).into(), 1));
    }
    assert_eq!(counts, recounted);
    let [ground, disc] = steps;
    assert_eq!(ground, OfClass::plain("ground"));
    (disc, tried, counts.mean_iou())
}

#[test]
fn specks_are_removed_where_there_are_never_two_discs() {
    let spool = Spool::new().unwrap();
    let mask = ["000000", "011100", "011100", "000000"];
    let all = [
        image(&spool, &["000001", "011100", "011100", "000000"], &mask),
        image(&spool, &["000011", "011100", "011100", "100001"], &mask),
    ];
    let (disc, tried, score) = chosen(&spool, &all);
    assert_eq!(disc, OfClass { keep_largest: true, ..OfClass::plain("disc") });
    assert_eq!(score, 1.0);
    let of_disc: Vec<_> = tried.iter().filter(|tried| tried.class == 1).map(|tried| (tried.step, tried.kept)).collect();
    assert_eq!(of_disc, [(LARGEST, true), (AREA, false), (HOLES, false)]);
}

#[test]
fn a_minimum_area_is_found_where_there_are_two_discs() {
    let spool = Spool::new().unwrap();
    let mask = ["1100.1111", "110001111", "000000000"];
    let all = [
        image(&spool, &["110001111", "110001111", "000000000"], &mask),
        image(&spool, &["110001111", "110001111", "000010000"], &mask),
        image(&spool, &["110101111", "110001111", "000000011"], &mask),
    ];
    let (disc, tried, score) = chosen(&spool, &all);
    // The largest component alone would lose a disc. The last row's pixels belong to the large one.
    assert!(!disc.keep_largest && (2..=4).contains(&disc.min_area) && !disc.fill_holes, "{disc:?}");
    assert!(score > 0.9, "{score} {tried:?}");
}

#[test]
fn holes_are_filled_where_the_masks_have_none() {
    let spool = Spool::new().unwrap();
    // The corner is ground that is cut off, as a hole is. Only a hole does not reach the edge.
    let solid = ["01000", "11110", "01110", "01110", "00000"];
    let ring = ["01000", "11110", "01010", "01110", "00000"];
    let (disc, _, score) = chosen(&spool, &[image(&spool, &ring, &solid), image(&spool, &solid, &solid)]);
    assert_eq!((disc, score), (OfClass { fill_holes: true, ..OfClass::plain("disc") }, 1.0));
    let (disc, _, score) = chosen(&spool, &[image(&spool, &ring, &ring), image(&spool, &ring, &ring)]);
    assert_eq!((disc, score), (OfClass::plain("disc"), 1.0));
}
