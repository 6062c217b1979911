use std::sync::Arc;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound on the bytes of one kind that are in memory at a time.
pub(crate) struct Room {
    free: Arc<Semaphore>,
    most: usize,
}

impl Room {
    pub(crate) fn new(most: usize) -> Self {
        // A permit counts its bytes in 32 bits, which nothing in memory needs to exceed.
        let most = most.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), most }
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Bytes that are held now.
    pub(crate) fn held(&self) -> usize {
        self.most - self.free.available_permits()
    }

    /// Room for so many bytes until the permit is dropped; None where there is not so much.
    pub(crate) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// The bytes, which hold their room until their last user drops them.
    pub(crate) fn hold(&self, bytes: Vec<u8>) -> Option<Bytes> {
        let bytes = bytes.into_boxed_slice();
        let room = self.take(bytes.len())?;
        Some(Bytes::from_owner(Held { bytes, _room: room }))
    }
}

struct Held {
    bytes: Box<[u8]>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_hold_their_room_until_the_last_user_drops_them() {
        let room = Room::new(10);
        let bytes = room.hold(vec![0; 6]).unwrap();
        let sent = bytes.slice(2..);
        assert!(room.hold(vec![0; 5]).is_none());
        drop(bytes);
        assert_eq!(room.held(), 6);
        drop(sent);
        assert_eq!(room.held(), 0);
        assert!(room.hold(vec![0; 10]).is_some());
    }
}
