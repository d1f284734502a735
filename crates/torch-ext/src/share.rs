//! Dropout by a sample's place in the batch of all ranks.

use contract::{Share, TorchError};
use std::cell::Cell;
use tch::Tensor;

thread_local! {
    static SHARE: Cell<Option<Share>> = const { Cell::new(None) };
}

/// Restores the share of before.
struct Before(Option<Share>);

impl Drop for Before {
    fn drop(&mut self) {
        SHARE.set(self.0);
    }
}

/// Runs `work`, in which the batches of this thread are this `share` of those of all ranks: [`dropout`] then draws what
/// one process would draw.
pub fn with_share<T>(share: Option<Share>, work: impl FnOnce() -> T) -> T {
    let _before = Before(SHARE.replace(share));
    work()
}

/// Sets whole channels of `x_nchw` to zero with this probability and scales the others up accordingly (Tompson et al.,
/// 2015).
///
/// Within [`with_share`] every rank draws for all samples of all ranks and takes the rows of its own. So the outputs
/// are those of one process, to the bit, and the random generators of all ranks keep one state.
///
/// # Errors
///
/// Fails if libtorch does, or if the share has fewer samples than `x_nchw`.
pub fn dropout(x_nchw: &Tensor, probability: f64) -> Result<Tensor, TorchError> {
    let Some(Share { first, of }) = SHARE.get() else { return Ok(x_nchw.f_feature_dropout(probability, true)?) };
    let size = x_nchw.size();
    let &[samples, channels, ..] = size.as_slice() else {
        return Err(TorchError::new("dropout of channels needs a batch of images"));
    };
    let mut shape = vec![1; size.len()];
    (shape[0], shape[1]) = (of as i64, channels);
    // Of ones the operator makes the mask that it would draw for the whole batch.
    let mask = Tensor::f_ones(&shape, (x_nchw.kind(), x_nchw.device()))?.f_feature_dropout(probability, true)?;
    Ok(x_nchw.f_mul(&mask.f_narrow(0, first as i64, samples)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::alone;
    use crate::{generator_state, recomputed, set_generator_state};
    use tch::{Device, Kind};
    use testing::noise;

    fn drawn<T>(from: &Tensor, work: impl FnOnce() -> T) -> (T, Tensor) {
        set_generator_state(Device::Cpu, from).unwrap();
        let found = work();
        (found, generator_state(Device::Cpu).unwrap())
    }

    #[test]
    fn ranks_draw_what_one_process_draws_and_their_generators_stay_alike() {
        let _alone = alone();
        let state = generator_state(Device::Cpu).unwrap();
        for kind in [Kind::Float, Kind::BFloat16] {
            let x = noise(&[7, 20, 3, 5], 1).to_kind(kind);
            let (plain, _) = drawn(&state, || x.feature_dropout(0.3, true));
            let (whole, after) = drawn(&state, || dropout(&x, 0.3).unwrap());
            assert!(whole.equal(&plain) && (&whole - &x).abs().max().double_value(&[]) > 0.1, "today's, to the bit");
            for samples in [vec![7], vec![3, 2, 2], vec![3, 0, 4], vec![0, 7], vec![7, 0]] {
                let mut first = 0;
                for own in samples {
                    let share = Some(Share { first: first as usize, of: 7 });
                    let rows = x.narrow(0, first, own);
                    let (mine, then) = drawn(&state, || with_share(share, || dropout(&rows, 0.3).unwrap()));
                    assert!(mine.equal(&whole.narrow(0, first, own)) && then.equal(&after), "{share:?}");
                    first += own;
                }
            }
        }
    }

    #[test]
    fn gradients_pass_where_values_do_and_a_share_ends_with_its_work() {
        let _alone = alone();
        let x = noise(&[2, 16, 3, 3], 2).set_requires_grad(true);
        let y = with_share(Some(Share { first: 1, of: 4 }), || dropout(&x, 0.5).unwrap());
        y.sum(Kind::Float).backward();
        let expected = y.detach() / x.detach();
        assert!((x.grad() - expected).abs().max().double_value(&[]) < 1e-6);
        assert!(
            std::panic::catch_unwind(|| with_share(Some(Share { first: 0, of: 1 }), || panic!("in the middle")))
                .is_err()
        );
        assert!(SHARE.get().is_none());
        let beyond = with_share(Some(Share { first: 3, of: 4 }), || dropout(&x, 0.5));
        assert!(beyond.is_err(), "two samples from the fourth of four on");
    }

    #[test]
    fn what_is_drawn_between_recomputed_pieces_is_drawn_once() {
        let _alone = alone();
        let state = generator_state(Device::Cpu).unwrap();
        let run = |again: bool| {
            let x = noise(&[2, 8, 3, 3], 3).set_requires_grad(true);
            let piece = |inputs: &[Tensor]| inputs[0].tanh() * 2.0;
            let step = |x: &Tensor| match again {
                true => recomputed(&[x.shallow_clone()], &[], piece).unwrap(),
                false => piece(&[x.shallow_clone()]),
            };
            let y = with_share(Some(Share { first: 1, of: 4 }), || step(&dropout(&step(&x), 0.5).unwrap()));
            y.square().sum(Kind::Float).backward();
            (y.detach(), x.grad())
        };
        let (kept, after) = drawn(&state, || run(false));
        let (again, then) = drawn(&state, || run(true));
        assert!(kept.0.equal(&again.0) && kept.1.equal(&again.1) && after.equal(&then));
    }
}
