use irene_tree::Format;

use crate::Device;

/// How a device multiplies numbers of two formats, as engines use it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arithmetic {
    /// The format to multiply in if the device has a unit for it.
    pub wanted: Format,
    /// The format that they are multiplied in.
    pub format: Format,
    /// The device's peak in that format, 10¹² operations a second.
    pub tflop_s: f64,
}

impl Arithmetic {
    /// Whether the device has no unit for the format that was wanted.
    pub(crate) fn is_fallback(&self) -> bool {
        self.format != self.wanted
    }

    /// The reason of a fallback, to be printed: `fp8 has no unit on a100-sxm-80gb: multiplied in bf16`.
    pub fn fallback(&self, device: &Device) -> Option<String> {
        let said = || {
            format!(
                "{} has no unit on {}: multiplied in {}",
                unit_name(self.wanted),
                device.name,
                unit_name(self.format)
            )
        };
        self.is_fallback().then(said)
    }
}

impl Device {
    /// The arithmetic of products of weights and activations in these formats.
    ///
    /// Weights of 8 bits are multiplied in 8 bits and nvfp4 in 4, and activations are rounded to them. Other weights in groups (int4, mxfp4,
    /// GGUF's) are widened to the format of the activations. A device without the unit widens to 16 bits, and to 32 where it has none for those.
    ///
    /// ```
    /// use irene_devices::Catalogue;
    /// use irene_tree::Format;
    /// let a100 = Catalogue::find("A100-SXM4-80GB")?;
    /// let arithmetic = a100.arithmetic(Format::F8E4M3, Format::BF16);
    /// assert_eq!((arithmetic.format, arithmetic.tflop_s), (Format::BF16, 312.0));
    /// assert_eq!(arithmetic.fallback(&a100).unwrap(), "fp8 has no unit on a100-sxm-80gb: multiplied in bf16");
    /// # Ok::<(), irene_devices::Error>(())
    /// ```
    pub fn arithmetic(&self, weights: Format, activations: Format) -> Arithmetic {
        let wanted = wanted(weights, activations);
        let narrow = if wanted == Format::Mxfp4 { Format::F8E4M3 } else { wanted };
        let wide = if is_half(activations) { activations } else { Format::BF16 };
        let order = [wanted, narrow, wide, Format::BF16, Format::F16, Format::F32, Format::F8E4M3, Format::Int8];
        let first = order.into_iter().find_map(|format| Some((format, self.peaks.of(format)?)));
        let (format, tflop_s) = first.unwrap_or((Format::Mxfp4, self.peaks.fp4.unwrap_or(f64::NAN)));
        Arithmetic { wanted, format, tflop_s }
    }
}

/// The format that engines multiply in where the device has a unit for it.
fn wanted(weights: Format, activations: Format) -> Format {
    let is_wide = matches!(activations, Format::F32 | Format::F64);
    match weights {
        _ if is_wide => Format::F32,
        Format::F32 | Format::F64 => Format::F32,
        Format::F8E4M3 | Format::F8E5M2 => Format::F8E4M3,
        Format::Int8 | Format::U8 => Format::Int8,
        Format::Mxfp4 if activations == Format::Mxfp4 => Format::Mxfp4,
        Format::Nvfp4 => Format::Nvfp4,
        _ if is_half(activations) => activations,
        Format::F16 => Format::F16,
        _ => Format::BF16,
    }
}

fn is_half(format: Format) -> bool {
    matches!(format, Format::F16 | Format::BF16)
}

fn unit_name(format: Format) -> &'static str {
    match format {
        Format::F8E4M3 | Format::F8E5M2 => "fp8",
        Format::Mxfp4 | Format::Nvfp4 => "fp4",
        format => format.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    fn of(device: &str, weights: Format, activations: Format) -> (Format, f64, Option<String>) {
        let device = Catalogue::find(device).unwrap();
        let arithmetic = device.arithmetic(weights, activations);
        (arithmetic.format, arithmetic.tflop_s, arithmetic.fallback(&device))
    }

    #[test]
    fn a_device_multiplies_in_the_narrowest_format_that_it_has() {
        assert_eq!(of("h100-sxm", Format::F8E4M3, Format::BF16), (Format::F8E4M3, 1978.9, None));
        assert_eq!(of("h100-sxm", Format::Int4, Format::BF16), (Format::BF16, 989.4, None));
        assert_eq!(of("b200", Format::Mxfp4, Format::BF16), (Format::BF16, 2250.0, None));
        assert_eq!(of("b200", Format::Mxfp4, Format::Mxfp4), (Format::Mxfp4, 9000.0, None));
        assert_eq!(of("b200", Format::Nvfp4, Format::BF16), (Format::Nvfp4, 9000.0, None));
        assert_eq!(of("t4", Format::Int8, Format::F16), (Format::Int8, 130.0, None));
        assert_eq!(of("h100-sxm", Format::Q4K, Format::F32), (Format::F32, 66.9, None));
    }

    #[test]
    fn a_format_without_a_unit_is_widened_and_said() {
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(
            of("v100-sxm2", Format::BF16, Format::BF16),
            (Format::F16, 125.0, said("bf16 has no unit on v100-sxm2: multiplied in f16"))
        );
        assert_eq!(
            of("p4", Format::F16, Format::F16),
            (Format::F32, 5.5, said("f16 has no unit on p4: multiplied in f32"))
        );
        assert_eq!(
            of("gaudi3", Format::F16, Format::F16),
            (Format::BF16, 1835.0, said("f16 has no unit on gaudi3: multiplied in bf16"))
        );
        assert_eq!(of("h100-sxm", Format::Mxfp4, Format::Mxfp4).0, Format::F8E4M3);
        assert_eq!(
            of("h100-sxm", Format::Nvfp4, Format::BF16),
            (Format::BF16, 989.4, said("fp4 has no unit on h100-sxm: multiplied in bf16"))
        );
        assert_eq!(of("gtx-1080-ti", Format::F8E4M3, Format::BF16).0, Format::F32);
    }

    #[test]
    fn every_device_multiplies_every_pair_of_formats() {
        for device in Catalogue::all() {
            for (weights, activations) in Format::all().flat_map(|of| Format::all().map(move |other| (of, other))) {
                let arithmetic = device.arithmetic(weights, activations);
                assert_eq!(device.peaks.of(arithmetic.format), Some(arithmetic.tflop_s), "{}", device.name);
                assert_eq!(arithmetic.is_fallback(), device.peaks.of(arithmetic.wanted).is_none(), "{}", device.name);
            }
        }
    }
}
