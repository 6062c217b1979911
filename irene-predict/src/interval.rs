//! The ends of the intervals that figures lie in with a probability of 90%.

/// How far an end of an interval is from its figure, in the logarithm: a limit may cut one end alone.
pub(crate) fn width(figure: f64, end: f64) -> f64 {
    (end / figure).ln().abs()
}

/// The widths of [energy, power] at the wall, from those of the devices' energy, power and time, where the host draws a share of the power: its
/// power errs by itself, the time with the devices'.
pub(crate) fn at_the_wall(host_share: f64, [energy, power, time]: [f64; 3], of_host: f64) -> [f64; 2] {
    let whole = |devices: f64, host: f64| ((1.0 - host_share) * devices).hypot(host_share * host);
    [whole(energy, of_host.hypot(time)), whole(power, of_host)]
}
