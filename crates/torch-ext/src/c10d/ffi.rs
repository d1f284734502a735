//! Declarations of the functions in `cpp/c10d.cpp` and `cpp/reducer.cpp`.

use crate::ffi::Ptr;
use std::ffi::{c_char, c_int};
use torch_sys::C_tensor;

/// A store of c10d.
#[repr(C)]
pub struct CStore {
    private: [u8; 0],
}

/// A group of processes.
#[repr(C)]
pub struct CGroup {
    private: [u8; 0],
}

/// An operation that is under way.
#[repr(C)]
pub struct CPending {
    private: [u8; 0],
}

/// The end of a group's waits.
#[repr(C)]
pub struct CAlarm {
    private: [u8; 0],
}

/// A reducer of gradients.
#[repr(C)]
pub struct CReducer {
    private: [u8; 0],
}

unsafe extern "C" {
    pub fn oxiseg_interface_address(name: *const c_char, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_store(
        host: *const c_char,
        port: c_int,
        listener: c_int,
        prefix: *const c_char,
        timeout: i64,
        out: *mut *mut CStore,
    ) -> c_int;
    pub fn oxiseg_free_store(store: *mut CStore);
    pub fn oxiseg_store_set(store: *mut CStore, key: *const c_char, value: *const c_char) -> c_int;
    pub fn oxiseg_store_get(store: *mut CStore, keys: *const c_char, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_store_has(store: *mut CStore, key: *const c_char, has: *mut c_int) -> c_int;
    pub fn oxiseg_store_wait(store: *mut CStore, keys: *const c_char, timeout: i64) -> c_int;
    pub fn oxiseg_store_replace(
        store: *mut CStore,
        key: *const c_char,
        expected: *const c_char,
        value: *const c_char,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_has_nccl() -> c_int;
    pub fn oxiseg_group(
        store: *mut CStore,
        rank: c_int,
        count: c_int,
        address: *const c_char,
        nccl: c_int,
        timeout: i64,
        out: *mut *mut CGroup,
    ) -> c_int;
    pub fn oxiseg_free_group(group: *mut CGroup) -> c_int;
    pub fn oxiseg_group_failed(group: *const CGroup) -> c_int;
    pub fn oxiseg_abort_group(group: *mut CGroup) -> c_int;
    pub fn oxiseg_alarm(group: *const CGroup, out: *mut *mut CAlarm) -> c_int;
    pub fn oxiseg_raise(alarm: *mut CAlarm) -> c_int;
    pub fn oxiseg_free_alarm(alarm: *mut CAlarm);
    pub fn oxiseg_sum(group: *mut CGroup, tensors: *const Ptr, n: usize) -> c_int;
    pub fn oxiseg_broadcast(group: *mut CGroup, tensors: *const Ptr, n: usize, from: c_int) -> c_int;
    pub fn oxiseg_gather(group: *mut CGroup, own: Ptr, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_start_max(group: *mut CGroup, tensor: Ptr, out: *mut *mut CPending) -> c_int;
    pub fn oxiseg_finish(pending: *mut CPending) -> c_int;
    pub fn oxiseg_is_finished(pending: *const CPending) -> c_int;
    pub fn oxiseg_free_pending(pending: *mut CPending);
    pub fn oxiseg_gradient_order(loss: Ptr, parameters: *const Ptr, n: usize, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_reducer(
        group: *mut CGroup,
        parameters: *const Ptr,
        n: usize,
        bucket: i64,
        first: i64,
        bf16: c_int,
        overlap: c_int,
        out: *mut *mut CReducer,
    ) -> c_int;
    pub fn oxiseg_reducer_prepare(reducer: *mut CReducer, loss: Ptr) -> c_int;
    pub fn oxiseg_reducer_buckets(reducer: *const CReducer) -> usize;
    pub fn oxiseg_free_reducer(reducer: *mut CReducer) -> c_int;
}
