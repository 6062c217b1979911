use std::borrow::Borrow;

use irene_tree::Tree;

use crate::Result;

/// Trees that can be gone through more than once: a slice of them, or a file that is read anew each time.
pub trait TreeSource {
    /// Shows every tree, each time in the same order, and ends with the first error.
    ///
    /// # Errors
    /// That of reading the trees, or of whoever sees them.
    fn each(&self, see: &mut dyn FnMut(&Tree) -> Result<()>) -> Result<()>;
}

impl<T: Borrow<Tree>> TreeSource for [T] {
    fn each(&self, see: &mut dyn FnMut(&Tree) -> Result<()>) -> Result<()> {
        self.iter().try_for_each(|tree| see(tree.borrow()))
    }
}

impl<T: Borrow<Tree>, const N: usize> TreeSource for [T; N] {
    fn each(&self, see: &mut dyn FnMut(&Tree) -> Result<()>) -> Result<()> {
        self.as_slice().each(see)
    }
}

impl<T: Borrow<Tree>> TreeSource for Vec<T> {
    fn each(&self, see: &mut dyn FnMut(&Tree) -> Result<()>) -> Result<()> {
        self.as_slice().each(see)
    }
}

impl<S: TreeSource + ?Sized> TreeSource for &S {
    fn each(&self, see: &mut dyn FnMut(&Tree) -> Result<()>) -> Result<()> {
        (**self).each(see)
    }
}
