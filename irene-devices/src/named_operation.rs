use irene_tree::{Format, OpKind, Operand, Operation, Shape};

use crate::{Error, Result};

/// A single operation by the name and the sizes in NeuSight's tables; [`OperationSheet`](crate::OperationSheet) lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedOperation<'a> {
    /// The name.
    pub(crate) op: &'a str,
    /// The format of all numbers.
    pub(crate) format: Format,
    /// Products, or rows.
    pub(crate) b: Option<u64>,
    /// Rows of a product.
    pub(crate) m: Option<u64>,
    /// Columns of a product.
    pub(crate) n: Option<u64>,
    /// The inner dimension of a product.
    pub(crate) k: Option<u64>,
    /// Numbers of a row.
    pub(crate) h: Option<u64>,
}

/// The names, with the operation of each and how many tensors it reads.
const NAMES: [(&str, OpKind, usize); 15] = [
    ("linear", OpKind::Linear, 2),
    ("bmm", OpKind::MatMul, 2),
    ("ln", OpKind::LayerNorm, 1),
    ("softmax", OpKind::Softmax, 1),
    ("add", OpKind::Add, 2),
    ("addu", OpKind::Add, 1),
    ("mul", OpKind::Mul, 2),
    ("mulu", OpKind::Mul, 1),
    ("div", OpKind::Div, 2),
    ("divu", OpKind::Div, 1),
    ("pow", OpKind::Pow, 2),
    ("powu", OpKind::Pow, 1),
    ("relu", OpKind::Relu, 1),
    ("gelu", OpKind::Gelu, 1),
    ("tanh", OpKind::Tanh, 1),
];

impl NamedOperation<'_> {
    /// The operation with its operands.
    ///
    /// # Errors
    /// [`Error::OperationName`] for a name that is not in the table, [`Error::OperationSize`] for a size that is missing, 0, or beyond
    /// 2³¹ numbers along a dimension.
    pub(crate) fn operation(&self) -> Result<Operation> {
        let named = NAMES.iter().find(|(name, ..)| *name == self.op);
        let &(_, kind, tensors) = named.ok_or_else(|| Error::OperationName { name: self.op.to_owned() })?;
        match kind {
            OpKind::Linear => {
                let rows = self.size("b", Some(self.b.unwrap_or(1)))?.saturating_mul(self.size("m", self.m)?);
                let [rows, n, k] =
                    [self.size("m", Some(rows as u64))?, self.size("n", self.n)?, self.size("k", self.k)?];
                let weight = Operand::parameter([n, k], self.format);
                Ok(Operation::new(kind, &[self.tensor([rows, k]), weight], self.tensor([rows, n])))
            }
            OpKind::MatMul => {
                let [b, m] = [self.size("b", self.b)?, self.size("m", self.m)?];
                let [n, k] = [self.size("n", self.n)?, self.size("k", self.k)?];
                Ok(Operation::new(kind, &[self.tensor([b, m, k]), self.tensor([b, k, n])], self.tensor([b, m, n])))
            }
            _ => {
                let rows = self.tensor([self.size("b", self.b)?, self.size("h", self.h)?]);
                Ok(Operation::new(kind, &vec![rows; tensors], rows))
            }
        }
    }

    fn tensor(&self, shape: impl Into<Shape>) -> Operand {
        Operand::activation(shape, self.format)
    }

    fn size(&self, name: &'static str, size: Option<u64>) -> Result<usize> {
        const MOST: u64 = 1 << 31;
        let fault = || Error::OperationSize { op: self.op.to_owned(), size: name };
        size.filter(|size| (1..=MOST).contains(size)).and_then(|size| usize::try_from(size).ok()).ok_or_else(fault)
    }
}

/// The names of operations, for messages.
pub(crate) fn operation_names() -> String {
    NAMES.map(|(name, ..)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Work;

    const LINEAR: NamedOperation<'static> =
        NamedOperation { op: "linear", format: Format::F32, b: None, m: Some(8), n: Some(32), k: Some(16), h: None };

    #[test]
    fn names_and_sizes_become_operations() {
        let work = Work::of(&LINEAR.operation().unwrap());
        assert_eq!((work.rows, work.inner, work.columns, work.weight_bytes), (8.0, 16.0, 32.0, 2048.0));
        let add = NamedOperation { op: "add", b: Some(4), h: Some(10), ..LINEAR };
        assert_eq!(Work::of(&add.operation().unwrap()).bytes(), 3.0 * 4.0 * 40.0);
        let one = NamedOperation { op: "addu", ..add };
        assert_eq!(Work::of(&one.operation().unwrap()).bytes(), 2.0 * 4.0 * 40.0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let unknown = NamedOperation { op: "fft", ..LINEAR }.operation().unwrap_err().to_string();
        assert!(unknown.contains("`fft`") && unknown.contains("softmax"), "{unknown}");
        for (name, wrong) in
            [("k", NamedOperation { k: None, ..LINEAR }), ("m", NamedOperation { m: Some(0), ..LINEAR })]
        {
            let fault = wrong.operation().unwrap_err().to_string();
            assert!(fault.contains(&format!("`{name}`")), "{fault}");
        }
    }
}
