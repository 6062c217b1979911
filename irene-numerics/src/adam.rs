use nalgebra::{RealField, convert};

/// Adam (Kingma and Ba, "Adam: A method for stochastic optimization", 2015) with PyTorch's defaults: β = (0.9, 0.999), ε = 1e-8; with a
/// decay, AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
///
/// With the gradient g of step t, m = β₁m + (1 - β₁)g and v = β₂v + (1 - β₂)g², a parameter x becomes
///
/// x - rate·decay·x - rate · m/(1 - β₁ᵗ) / (√(v/(1 - β₂ᵗ)) + ε)
///
/// ```
/// use irene_numerics::Adam;
///
/// let (mut x, mut adam) = ([1.0f32], Adam::new(1, 0.1));
/// adam.step(&mut x, &[2.0]);
/// assert!((x[0] - 0.9).abs() < 1e-6); // the first step is as long as the rate
/// ```
#[derive(Clone, Debug)]
pub struct Adam<T> {
    rate: T,
    decay: T,
    steps: i32,
    mean: Vec<T>,
    square: Vec<T>,
}

impl<T: RealField + Copy> Adam<T> {
    /// For this many parameters, without decay.
    pub fn new(parameters: usize, rate: T) -> Self {
        let zeros = vec![T::zero(); parameters];
        Self { rate, decay: T::zero(), steps: 0, mean: zeros.clone(), square: zeros }
    }

    /// Sets the decay: each step takes this share of every parameter away, times the rate.
    pub fn with_decay(self, decay: T) -> Self {
        Self { decay, ..self }
    }

    /// One step against the gradient, which has a number for each parameter; parameters beyond its length stay.
    pub fn step<'a>(&mut self, parameters: impl IntoIterator<Item = &'a mut T>, gradient: &[T])
    where
        T: 'a,
    {
        let one = T::one();
        let (of_mean, of_square, epsilon): (T, T, T) = (convert(0.9), convert(0.999), convert(1e-8));
        self.steps += 1;
        let rate = self.rate / (one - of_mean.powi(self.steps));
        let correction = (one - of_square.powi(self.steps)).sqrt();
        let shrink = self.rate * self.decay;
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((parameter, slope), (mean, square)) in parameters.into_iter().zip(gradient).zip(moments) {
            *mean = of_mean * *mean + (one - of_mean) * *slope;
            *square = of_square * *square + (one - of_square) * *slope * *slope;
            *parameter -= shrink * *parameter;
            *parameter -= rate * *mean / (square.sqrt() / correction + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_rate_and_decay_comes_on_top() {
        let mut x = [1.0f64];
        Adam::new(1, 0.1).step(&mut x, &[2.0]);
        assert!((x[0] - 0.9).abs() < 1e-6, "{x:?}");
        Adam::new(1, 0.1).with_decay(0.5).step(&mut x, &[0.0]);
        assert!((x[0] - 0.9 * 0.95).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn the_minimum_is_reached_in_single_precision() {
        let (mut x, mut adam) = ([1.0f32], Adam::new(1, 0.1));
        for _ in 0..500 {
            let gradient = [2.0 * x[0]];
            adam.step(&mut x, &gradient);
        }
        assert!(x[0].abs() < 1e-3, "{x:?}");
    }

    /// The constants are rounded to the parameters' precision once.
    #[test]
    fn constants_convert_exactly() {
        assert_eq!([convert::<f64, f32>(0.9), convert(0.999), convert(1e-8)], [0.9f32, 0.999, 1e-8]);
    }
}
