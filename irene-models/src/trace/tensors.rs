use crate::Tensor;

/// A module's input or output: tensors in some arrangement, which a visitor sees as a list.
pub trait Tensors {
    /// Appends the tensors in order.
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>);
}

impl Tensors for Tensor {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(self);
    }
}

impl<T: Tensors + ?Sized> Tensors for &T {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        (**self).list(tensors);
    }
}

impl<T: Tensors> Tensors for Option<T> {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        if let Some(inner) = self {
            inner.list(tensors);
        }
    }
}

impl<A: Tensors, B: Tensors> Tensors for (A, B) {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        self.0.list(tensors);
        self.1.list(tensors);
    }
}

impl<T: Tensors, const N: usize> Tensors for [T; N] {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        self.iter().for_each(|inner| inner.list(tensors));
    }
}
