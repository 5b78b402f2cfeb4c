//! 32 secret bytes in memory that is neither swapped nor dumped, and is wiped after use.
//!
//! Every key of this car lives in a [`SecretKey`]. Costs: one locked page of memory for each.

use std::fmt;

use zeroize::Zeroize as _;

/// The kernel gave no random bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes from the kernel: {0}")]
pub struct RandomError(pub String);

/// A page of its own, so that locking and unlocking it never affects neighbouring data.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// 32 secret bytes on a page of their own: locked against swapping and left out of core dumps
/// where the kernel allows it, wiped when dropped. Neither prints nor clones.
pub struct SecretKey(Box<Page>);

impl SecretKey {
    /// A random key.
    pub fn random() -> Result<Self, RandomError> {
        let mut key = Self::empty();
        getrandom::fill(&mut key.0.0[..32]).map_err(|e| RandomError(e.to_string()))?;
        Ok(key)
    }

    /// A key from bytes that the caller wipes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Self::empty();
        key.0.0[..32].copy_from_slice(bytes);
        key
    }

    /// The bytes. Every call is a place where a key could get out: keep them few.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.0[..32].try_into().expect("the page is longer than a key")
    }

    fn empty() -> Self {
        let mut page = Box::new(Page([0; 4096]));
        lock(&mut page);
        Self(page)
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.0[..32].zeroize();
        unlock(&mut self.0);
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// Keeps a page out of swap and core dumps. The kernel may refuse both (RLIMIT_MEMLOCK); the key
/// still works then, so that is not an error. `outrider.service` sets the limit.
#[expect(unsafe_code, reason = "mlock and madvise take a raw address")]
fn lock(page: &mut Page) {
    let at = std::ptr::from_mut(page).cast();
    // SAFETY: `at` is the start of a live, page-aligned 4096-byte allocation that we own; neither
    // call changes its content.
    unsafe {
        let _ = rustix::mm::mlock(at, size_of::<Page>());
        let _ = rustix::mm::madvise(at, size_of::<Page>(), rustix::mm::Advice::LinuxDontDump);
    }
}

#[expect(unsafe_code, reason = "munlock and madvise take a raw address")]
fn unlock(page: &mut Page) {
    let at = std::ptr::from_mut(page).cast();
    // SAFETY: as in `lock`; the page holds nothing but this key, so no neighbour is unlocked.
    unsafe {
        let _ = rustix::mm::munlock(at, size_of::<Page>());
        let _ = rustix::mm::madvise(at, size_of::<Page>(), rustix::mm::Advice::LinuxDoDump);
    }
}
