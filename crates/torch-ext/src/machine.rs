//! The processor's instructions, and the OpenMP runtime that distributes loops over its cores.

use crate::ffi;
use std::ffi::CStr;

/// Returns the processor's name and those of its instructions that decide which kernels are fast.
pub fn processor() -> String {
    let mut name = [0; 49];
    // SAFETY: the shim writes 48 letters and a NUL behind them.
    let name = unsafe {
        ffi::oxiseg_processor(&mut name);
        CStr::from_ptr(name.as_ptr())
    };
    let name = name.to_string_lossy();
    let name = match name.split_whitespace().collect::<Vec<_>>().join(" ") {
        unknown if unknown.is_empty() => "unknown processor".into(),
        name => name,
    };
    let has = [(has_avx512(), "AVX-512"), (has_avx512_bf16(), "AVX-512 bf16"), (has_amx(), "AMX bf16")];
    let has: Vec<&str> = has.into_iter().filter_map(|(has, what)| has.then_some(what)).collect();
    if has.is_empty() { format!("{name} (no AVX-512)") } else { format!("{name} ({})", has.join(", ")) }
}

/// Returns true if the processor has the AVX-512 instructions that our convolutions in f32 need.
pub fn has_avx512() -> bool {
    // SAFETY: reads a constant of the processor.
    unsafe { ffi::oxiseg_has_avx512() != 0 }
}

/// Returns true if the processor also has the AVX-512 instructions for products of bf16.
pub fn has_avx512_bf16() -> bool {
    // SAFETY: reads a constant of the processor.
    unsafe { ffi::oxiseg_has_avx512_bf16() != 0 }
}

/// Returns true if libtorch's convolutions in bf16 run on AMX: the processor has it, the system lets this process use
/// it, and neither `ONEDNN_MAX_CPU_ISA` nor a switch of libtorch's keeps oneDNN from it.
pub fn has_amx() -> bool {
    let mut has = 0;
    // SAFETY: a pointer to a live integer. Where the call fails it leaves the 0.
    unsafe { ffi::oxiseg_has_amx(&mut has) };
    has != 0
}

/// The OpenMP runtime that libtorch runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMp {
    /// Path of its file; `None` if the system does not report it.
    pub file: Option<String>,
    /// Milliseconds that its threads spin for work before they sleep; `None` for runtimes that do not report it, such
    /// as GNU's.
    pub block_time: Option<u32>,
}

impl OpenMp {
    /// Returns the runtime in force, as this thread uses it.
    pub fn in_force() -> Self {
        // SAFETY: asks the dynamic linker, and the runtime if it has the function.
        let (file, time) = unsafe { (ffi::oxiseg_openmp_file(), ffi::oxiseg_openmp_block_time()) };
        // SAFETY: a name that the dynamic linker keeps while the library is loaded, which is for ever.
        let file = (!file.is_null()).then(|| unsafe { CStr::from_ptr(file) }.to_string_lossy().into_owned());
        Self { file, block_time: time.try_into().ok() }
    }
}

/// Makes threads that wait for this thread's loops sleep after a millisecond. Measured on 2 cores next to a busy
/// process, training then keeps about 0.45 of its rate, and with the 200 ms of LLVM's runtime about 0.35; alone it
/// loses nothing.
///
/// For LLVM's and Intel's runtimes; GNU's has no such switch. A user's `KMP_BLOCKTIME`, `KMP_LIBRARY`,
/// `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT` stays in force. Returns true if the time was set.
pub fn tune_openmp() -> bool {
    // SAFETY: calls the runtime's own function, if it has it.
    unsafe { ffi::oxiseg_set_openmp_block_time(1) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_runtime_in_force_is_named_and_its_threads_sleep_soon() {
        let set = tune_openmp();
        let runtime = OpenMp::in_force();
        assert!(runtime.file.as_ref().is_some_and(|file| file.contains("omp")), "{runtime:?}");
        if !set {
            // Bypasses the test harness, which hides the output of tests that pass.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {runtime:?} has no block time, or a person has set it");
            return;
        }
        assert_eq!(runtime.block_time, Some(1));
    }

    #[test]
    fn processors_have_what_builds_on_what() {
        assert!(has_avx512() || !has_avx512_bf16());
        assert!(has_avx512_bf16() || !has_amx());
        assert_eq!(processor().contains("AMX"), has_amx(), "{}", processor());
        assert!(!processor().contains('\0') && processor().len() > 10);
    }
}
