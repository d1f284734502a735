//! Pieces of a network that run once more in the backward pass, so that their intermediate activations need not be kept
//! (Chen et al., 2016).

use crate::fused::{Fusion, Synced};
use crate::{ffi, fused};
use contract::TorchError;
use std::ffi::c_void;
use tch::Tensor;

/// Function from a piece's inputs to its output.
type Piece = Box<dyn Fn(&[Tensor]) -> Tensor + Send>;

/// Runs `piece` on the `inputs`; its panics become errors. Where a derivative is wanted, only the inputs are kept. The
/// backward pass runs `piece` a second time, in the precision and with the operators and ranks of the first run; the
/// thread that asked for the backward pass waits for it.
///
/// `piece` must return the same both times, so it must draw nothing at random. `buffers` are the tensors that it
/// changes by itself (running statistics): the second run leaves them as they are.
pub fn recomputed(
    inputs: &[Tensor],
    buffers: &[Tensor],
    piece: impl Fn(&[Tensor]) -> Tensor + Send + 'static,
) -> Result<Tensor, TorchError> {
    let (kernels, ranks) = (fused::kernels(), fused::ranks());
    let piece: Piece = Box::new(move |inputs| {
        let (_fusion, _synced) = (Fusion::new(kernels), Synced::new(ranks.clone()));
        piece(inputs)
    });
    let ([inputs, buffers], piece) = ([inputs, buffers].map(ffi::pointers), Box::into_raw(Box::new(piece)));
    // SAFETY: the tensors live through the call and the shim keeps owners of its own. The shim takes the piece, also
    // where the call fails, calls it as the type that it is, and drops it once.
    ffi::made(|out| unsafe {
        ffi::oxiseg_recompute(
            inputs.as_ptr(),
            inputs.len(),
            buffers.as_ptr(),
            buffers.len(),
            piece.cast(),
            ffi::run::<Piece>,
            drop_piece,
            out,
        )
    })
}

/// Frees a piece for the shim.
///
/// # Safety
///
/// `piece` must come from [`recomputed`] and not be used any more.
unsafe extern "C" fn drop_piece(piece: *mut c_void) {
    // SAFETY: as promised above.
    drop(unsafe { Box::from_raw(piece.cast::<Piece>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::alone;
    use crate::{Autocast, Kernels, Reads};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tch::{Device, Kind};

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn values(count: i64) -> Tensor {
        (Tensor::arange(count, CPU) * 12.9898).sin()
    }

    /// Makes a piece that counts its runs and changes a buffer.
    fn piece(weight: &Tensor, buffer: &Tensor, runs: &Arc<AtomicU32>) -> impl Fn(&[Tensor]) -> Tensor + Send + 'static {
        let (weight, buffer, runs) = (weight.shallow_clone(), buffer.shallow_clone(), Arc::clone(runs));
        move |inputs| {
            runs.fetch_add(1, Ordering::Relaxed);
            let _ = tch::no_grad(|| buffer.shallow_clone().g_add_scalar_(1.0));
            let y = inputs[0].matmul(&weight).tanh();
            inputs.get(1).map_or_else(|| y.shallow_clone(), |beside| &y * beside)
        }
    }

    #[test]
    fn gradients_are_those_of_the_piece_and_buffers_change_once() {
        let _alone = alone();
        for (of_x, with_beside) in [(true, true), (true, false), (false, true), (false, false)] {
            let found: Vec<Vec<Tensor>> = [false, true]
                .into_iter()
                .map(|again| {
                    let x = values(12).reshape([3, 4]).set_requires_grad(of_x);
                    let weight = values(20).reshape([4, 5]).set_requires_grad(true);
                    let beside = with_beside.then(|| (values(15).reshape([3, 5]) + 2.0).set_requires_grad(true));
                    let (buffer, runs) = (Tensor::zeros([1], CPU), Arc::new(AtomicU32::new(0)));
                    let piece = piece(&weight, &buffer, &runs);
                    let inputs: Vec<Tensor> = [&x].into_iter().chain(&beside).map(Tensor::shallow_clone).collect();
                    let y = match again {
                        true => recomputed(&inputs, &[buffer.shallow_clone()], piece).unwrap(),
                        false => piece(&inputs),
                    };
                    let loss = y.square().sum(Kind::Float);
                    loss.backward();
                    assert_eq!(runs.load(Ordering::Relaxed), if again { 2 } else { 1 });
                    let gradient = |of: &Tensor| if of.grad().defined() { of.grad() } else { Tensor::from(0f32) };
                    let besides = beside.as_ref().map(gradient);
                    [y.detach(), gradient(&x), gradient(&weight), buffer].into_iter().chain(besides).collect()
                })
                .collect();
            assert!(found[0].iter().zip(&found[1]).all(|(plain, again)| plain.equal(again)), "{found:?}");
        }
    }

    #[test]
    fn nothing_is_kept_and_run_again_where_no_derivative_is_wanted() {
        let _alone = alone();
        let (weight, buffer, runs) = (values(20).reshape([4, 5]), Tensor::zeros([1], CPU), Arc::new(AtomicU32::new(0)));
        let x = [values(12).reshape([3, 4])];
        let y = tch::no_grad(|| recomputed(&x, &[], piece(&weight, &buffer, &runs)).unwrap());
        assert!(!y.requires_grad() && Arc::strong_count(&runs) == 1, "the piece was dropped");
        let y = recomputed(&x, &[], piece(&weight, &buffer, &runs)).unwrap();
        assert_eq!(Arc::strong_count(&runs), 2);
        drop(y);
        assert_eq!(Arc::strong_count(&runs), 1);
    }

    #[test]
    fn the_second_run_has_the_precision_and_the_operators_of_the_first() {
        let _alone = alone();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let weight = values(16).reshape([4, 4]).set_requires_grad(true);
        let of_piece = weight.shallow_clone();
        let y = {
            let _autocast = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
            let _fusion = Fusion::new(Kernels::Winograd);
            recomputed(&[values(16).reshape([4, 4])], &[], move |inputs| {
                let y = inputs[0].matmul(&of_piece);
                noted.lock().unwrap().push((y.kind(), fused::kernels()));
                y
            })
            .unwrap()
        };
        let reads = Reads::watch().unwrap();
        y.sum(Kind::Float).backward();
        assert_eq!(reads.count(), 0);
        assert_eq!(*seen.lock().unwrap(), [(Kind::BFloat16, Kernels::Winograd); 2]);
        assert!(weight.grad().defined() && fused::kernels() == Kernels::Libtorch);
        assert_eq!(values(4).matmul(&values(4)).kind(), Kind::Float);
    }

    #[test]
    fn a_panic_is_an_error_in_the_first_run_and_in_the_second() {
        let _alone = alone();
        let x = [values(4).set_requires_grad(true)];
        let error = recomputed(&x, &[], |_| panic!("libtorch: no such thing")).unwrap_err();
        assert!(error.to_string().contains("no such thing"), "{error}");
        let runs = AtomicU32::new(0);
        let y = recomputed(&x, &[], move |inputs| {
            assert!(runs.fetch_add(1, Ordering::Relaxed) == 0, "not again");
            &inputs[0] * 2.0
        });
        let error = y.unwrap().sum(Kind::Float).f_backward().unwrap_err();
        assert!(error.to_string().contains("not again"), "{error}");
    }
}
