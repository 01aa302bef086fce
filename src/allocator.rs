//! How the C library's allocator keeps memory.
#![allow(unsafe_code, reason = "the allocator is set up by a C call")]

/// Heaps for small pieces of memory, which threads share. By default there are eight per processor, and each thread keeps what it has freed
/// to itself: librdkafka, which takes memory in one thread and frees it in another, then holds a fifth more at the same speed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: libc::c_int = 2;

/// Bounds what is kept of freed memory. To be called before there are threads; whoever sets `MALLOC_ARENA_MAX` has decided for himself.
pub(crate) fn bound() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: it sets a number. Refused, it leaves the default, which is no fault.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
    }
}
