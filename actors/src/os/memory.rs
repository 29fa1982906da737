//! Memory of this process that the C library keeps although nobody uses it.
//!
//! Unsafe code of Greenroom is only here and in [`shim`](super::shim), where a process is copied.

/// Gives freed memory back to the kernel. glibc returns only what lies at the end of a heap; reading a configuration of
/// 200 services otherwise leaves 4 MB behind for good. Takes some milliseconds at most; does nothing with other C
/// libraries.
#[allow(unsafe_code, reason = "the C library offers this only as a foreign function")]
pub fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes a number and touches nothing but the allocator's own free lists, under its own locks;
    // it may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use crate::{ids::Pid, os::proc::resident_bytes};

    /// How much less this process holds after every second block of many was freed and given back. The others stay, so
    /// that nothing lies free at the end of the heap.
    fn given_back() -> u64 {
        let own = [Pid(std::process::id())];
        let mut kept: Vec<Vec<u8>> = (0..4000).map(|_| vec![1; 16 << 10]).collect();
        let full = resident_bytes(&own);
        let mut n = 0;
        kept.retain(|_| {
            n += 1;
            n % 2 == 0
        });
        super::give_back_freed();
        assert_eq!(kept.len(), 2000);
        full.saturating_sub(resident_bytes(&own))
    }

    #[test]
    fn what_was_freed_between_things_in_use_goes_back() {
        // Other tests of this process take memory meanwhile, so one try may see too little; without the call none sees
        // anything.
        let most = (0..10).map(|_| given_back()).max();
        assert!(most > Some(8 << 20), "{most:?} bytes were given back");
    }
}
