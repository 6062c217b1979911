use std::cell::Cell;

/// Identifies what an operation computed, so that the flow of numbers through a pass can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value(u32);

impl Value {
    /// A value that no other tensor of this thread has, until 2³² values later.
    pub(super) fn new() -> Self {
        thread_local!(static NEXT: Cell<u32> = const { Cell::new(0) });
        NEXT.with(|next| Self(next.replace(next.get().wrapping_add(1))))
    }
}
