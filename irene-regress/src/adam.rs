/// Adam (Kingma & Ba, 2015) with PyTorch's defaults: β = (0.9, 0.999), ε = 1e-8.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    learning_rate: f32,
    steps: i32,
    mean: Vec<f32>,
    square: Vec<f32>,
}

const BETAS: (f32, f32) = (0.9, 0.999);
const EPSILON: f32 = 1e-8;

impl Adam {
    pub(crate) fn new(parameters: usize, learning_rate: f32) -> Self {
        Self { learning_rate, steps: 0, mean: vec![0.0; parameters], square: vec![0.0; parameters] }
    }

    pub(crate) fn step<'a>(&mut self, parameters: impl Iterator<Item = &'a mut f32>, gradient: &[f32]) {
        self.steps += 1;
        let rate = self.learning_rate / (1.0 - BETAS.0.powi(self.steps));
        let correction = (1.0 - BETAS.1.powi(self.steps)).sqrt();
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((parameter, slope), (mean, square)) in parameters.zip(gradient).zip(moments) {
            *mean = BETAS.0 * *mean + (1.0 - BETAS.0) * slope;
            *square = BETAS.1 * *square + (1.0 - BETAS.1) * slope * slope;
            *parameter -= rate * *mean / (square.sqrt() / correction + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate_and_the_minimum_is_reached() {
        let mut x = 1.0f32;
        let mut adam = Adam::new(1, 0.1);
        adam.step(std::iter::once(&mut x), &[2.0]);
        assert!((x - 0.9).abs() < 1e-6, "{x}");
        for _ in 0..500 {
            let gradient = [2.0 * x];
            adam.step(std::iter::once(&mut x), &gradient);
        }
        assert!(x.abs() < 1e-3, "{x}");
    }
}
