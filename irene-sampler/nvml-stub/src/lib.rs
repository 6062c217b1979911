//! NVIDIA's management library with the values of a script, for tests on machines without a GPU.
//!
//! The environment variable `IRENE_NVML_SCRIPT` names a text file, which is read again at every call. A line is
//! `key = value`, or `key = error N` for the return code N; a key that is not in the file returns 3, "not supported".
//!
//! | Key | Value |
//! |---|---|
//! | `init` | only an error |
//! | `count` | number of GPUs |
//! | `gpu0` | only an error, which all calls about that GPU then give: 15 is "lost" |
//! | `gpu0.uuid` | `GPU-...` |
//! | `gpu0.mig` | `MIG-...`, the one instance |
//! | `gpu0.util_percent` | percent |
//! | `gpu0.mem_used_bytes`, `gpu0.mem_total_bytes` | bytes |
//! | `gpu0.sm_clock_mhz`, `gpu0.mem_clock_mhz` | MHz |
//! | `gpu0.processes` | `PID:SM_PERCENT PID:SM_PERCENT ...`, where there are any |
//! | `gpu0.processes_us` | the time of these utilisations, microseconds |
//! | `gpu0.power_mw` | mW, as nvmlDeviceGetPowerUsage gives it |
//! | `gpu0.power_instant_mw` | mW of the moment, a field value |
//! | `gpu0.compute_capability` | `8.6` |
//! | `gpu0.energy_mj` | mJ since the driver was loaded |
//! | `gpu0.enforced_limit_mw`, `gpu0.largest_limit_mw` | mW |
#![allow(unsafe_code)] // a C library's functions write through their caller's pointers
#![allow(non_snake_case)] // the names are NVML's

use std::{
    ffi::{CStr, c_char, c_int, c_longlong, c_uint, c_ulonglong},
    str::FromStr,
};

/// Return codes of nvml.h.
const SUCCESS: c_uint = 0;
const INVALID_ARGUMENT: c_uint = 2;
const NOT_SUPPORTED: c_uint = 3;
const NOT_FOUND: c_uint = 6;
const INSUFFICIENT_SIZE: c_uint = 7;
const UNKNOWN: c_uint = 999;

/// Kinds of clock in nvml.h.
const CLOCK_SM: c_uint = 1;
const CLOCK_MEM: c_uint = 2;

/// A device to the caller is an opaque pointer. Here it is the GPU's index plus 1, and [`INSTANCE`] more for its MIG instance.
type Handle = usize;
const INSTANCE: Handle = 1 << 16;

/// nvml.h's `nvmlUtilization_t`.
#[repr(C)]
struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// nvml.h's `nvmlMemory_v2_t`.
#[repr(C)]
struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// nvml.h's `nvmlProcessUtilizationSample_t`.
#[repr(C)]
struct ProcessUtilization {
    pid: c_uint,
    timestamp: c_ulonglong,
    sm: c_uint,
    memory: c_uint,
    encoder: c_uint,
    decoder: c_uint,
}

/// nvml.h's `nvmlFieldValue_t`, its union as the 8 bytes that it has.
#[repr(C)]
struct FieldValue {
    id: c_uint,
    scope: c_uint,
    timestamp: c_longlong,
    latency: c_longlong,
    kind: c_uint,
    result: c_uint,
    value: [u8; 8],
}

/// The field of the power of the moment, and the kind of its value.
const POWER_INSTANT: c_uint = 186;
const UNSIGNED_INT: c_uint = 1;

/// The script's value of this key, or a return code.
fn scripted(key: &str) -> Result<String, c_uint> {
    let path = std::env::var_os("IRENE_NVML_SCRIPT").ok_or(UNKNOWN)?;
    let script = std::fs::read_to_string(path).map_err(|_| UNKNOWN)?;
    let mut lines = script.lines().filter_map(|line| line.split_once('='));
    let value = lines.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim()).ok_or(NOT_SUPPORTED)?;
    match value.strip_prefix("error ") {
        Some(code) => Err(code.parse().unwrap_or(UNKNOWN)),
        None => Ok(value.to_owned()),
    }
}

fn number<T: FromStr>(key: &str) -> Result<T, c_uint> {
    scripted(key)?.parse().map_err(|_| UNKNOWN)
}

/// The error of this key, if the script has one.
fn check(key: &str) -> Result<(), c_uint> {
    match scripted(key) {
        Err(NOT_SUPPORTED) | Ok(_) => Ok(()),
        Err(code) => Err(code),
    }
}

/// The prefix of a device's keys, unless all calls about it fail.
fn device(handle: Handle) -> Result<String, c_uint> {
    let index = (handle % INSTANCE).checked_sub(1).ok_or(INVALID_ARGUMENT)?;
    let gpu = format!("gpu{index}");
    check(&gpu)?;
    Ok(gpu)
}

fn of_device<T: FromStr>(handle: Handle, name: &str) -> Result<T, c_uint> {
    number(&format!("{}.{name}", device(handle)?))
}

/// Writes a result through the caller's pointer.
///
/// # Safety
/// `out` must be valid for a write.
unsafe fn give<T>(out: *mut T, result: Result<T, c_uint>) -> c_uint {
    match result {
        Ok(value) => {
            // SAFETY: the caller says so.
            unsafe { out.write(value) };
            SUCCESS
        }
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> c_uint {
    check("init").err().unwrap_or(SUCCESS)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    unsafe { give(count, number("count")) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, handle: *mut Handle) -> c_uint {
    let known = number("count").and_then(|count: c_uint| if index < count { Ok(()) } else { Err(INVALID_ARGUMENT) });
    let found = index as Handle + 1;
    unsafe { give(handle, known.and_then(|()| device(found)).map(|_| found)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, handle: *mut Handle) -> c_uint {
    // SAFETY: NVML's callers give a C string.
    let uuid = unsafe { CStr::from_ptr(uuid) }.to_string_lossy();
    let is = |index: c_uint, name: &str| scripted(&format!("gpu{index}.{name}")).is_ok_and(|id| id == uuid);
    let find = |index: c_uint| {
        let of_card = is(index, "uuid").then_some(index as Handle + 1);
        of_card.or_else(|| is(index, "mig").then_some(index as Handle + 1 + INSTANCE))
    };
    let found = number("count").and_then(|count: c_uint| (0..count).find_map(find).ok_or(NOT_FOUND));
    unsafe { give(handle, found) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance: Handle, handle: *mut Handle) -> c_uint {
    unsafe { give(handle, if instance > INSTANCE { Ok(instance - INSTANCE) } else { Err(INVALID_ARGUMENT) }) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetIndex(handle: Handle, index: *mut c_uint) -> c_uint {
    // A MIG instance's own index counts the instances of its card.
    let of_card = if handle > INSTANCE { 0 } else { (handle - 1) as c_uint };
    unsafe { give(index, device(handle).map(|_| of_card)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUUID(handle: Handle, text: *mut c_char, len: c_uint) -> c_uint {
    let uuid: String = match of_device(handle, "uuid") {
        Ok(uuid) => uuid,
        Err(code) => return code,
    };
    if uuid.len() >= len as usize {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the caller's buffer has `len` bytes, which hold the text and a zero.
    unsafe {
        text.copy_from_nonoverlapping(uuid.as_ptr().cast(), uuid.len());
        text.add(uuid.len()).write(0);
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUtilizationRates(handle: Handle, rates: *mut Utilization) -> c_uint {
    unsafe { give(rates, of_device(handle, "util_percent").map(|gpu| Utilization { gpu, memory: 0 })) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: Handle, memory: *mut Memory) -> c_uint {
    let sizes = of_device(handle, "mem_used_bytes").and_then(|used| Ok((used, of_device(handle, "mem_total_bytes")?)));
    let info = |(used, total): (c_ulonglong, c_ulonglong)| {
        let version = size_of::<Memory>() as c_uint | 2 << 24;
        Memory { version, total, reserved: 0, free: total.saturating_sub(used), used }
    };
    unsafe { give(memory, sizes.map(info)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetClockInfo(handle: Handle, kind: c_uint, clock: *mut c_uint) -> c_uint {
    let mhz = match kind {
        CLOCK_SM => of_device(handle, "sm_clock_mhz"),
        CLOCK_MEM => of_device(handle, "mem_clock_mhz"),
        _ => Err(NOT_SUPPORTED),
    };
    unsafe { give(clock, mhz) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPowerUsage(handle: Handle, power: *mut c_uint) -> c_uint {
    unsafe { give(power, of_device(handle, "power_mw")) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetFieldValues(handle: Handle, count: c_int, fields: *mut FieldValue) -> c_uint {
    for place in 0..count as usize {
        // SAFETY: the caller's array has so many fields.
        let field = unsafe { &mut *fields.add(place) };
        let milliwatts: Result<c_uint, c_uint> = match field.id {
            POWER_INSTANT => of_device(handle, "power_instant_mw"),
            _ => Err(NOT_SUPPORTED),
        };
        field.kind = UNSIGNED_INT;
        field.result = milliwatts.err().unwrap_or(SUCCESS);
        field.value[..4].copy_from_slice(&milliwatts.unwrap_or(0).to_ne_bytes());
    }
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    handle: Handle,
    major: *mut c_int,
    minor: *mut c_int,
) -> c_uint {
    let capability = of_device::<String>(handle, "compute_capability");
    let parts = capability.and_then(|text| {
        let (major, minor) = text.split_once('.').ok_or(UNKNOWN)?;
        Ok((major.parse::<c_int>().map_err(|_| UNKNOWN)?, minor.parse::<c_int>().map_err(|_| UNKNOWN)?))
    });
    unsafe {
        minor.write(parts.map_or(0, |(_, minor)| minor));
        give(major, parts.map(|(major, _)| major))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTotalEnergyConsumption(handle: Handle, energy: *mut c_ulonglong) -> c_uint {
    unsafe { give(energy, of_device(handle, "energy_mj")) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetEnforcedPowerLimit(handle: Handle, limit: *mut c_uint) -> c_uint {
    unsafe { give(limit, of_device(handle, "enforced_limit_mw")) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(
    handle: Handle,
    least: *mut c_uint,
    largest: *mut c_uint,
) -> c_uint {
    unsafe {
        least.write(0);
        give(largest, of_device(handle, "largest_limit_mw"))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    handle: Handle,
    samples: *mut ProcessUtilization,
    count: *mut c_uint,
    seen: c_ulonglong,
) -> c_uint {
    let (processes, timestamp): (String, c_ulonglong) =
        match of_device(handle, "processes").and_then(|list| Ok((list, of_device(handle, "processes_us")?))) {
            Ok(found) => found,
            Err(code) => return code,
        };
    let processes: Option<Vec<(c_uint, c_uint)>> = processes
        .split_whitespace()
        .map(|process| process.split_once(':').and_then(|(pid, sm)| Some((pid.parse().ok()?, sm.parse().ok()?))))
        .collect();
    let Some(processes) = processes else { return UNKNOWN };
    if processes.is_empty() || timestamp <= seen {
        return NOT_FOUND;
    }
    // SAFETY: the caller's count is valid, and says how many samples there is room for.
    let room = unsafe { count.replace(processes.len() as c_uint) } as usize;
    if samples.is_null() || room < processes.len() {
        return INSUFFICIENT_SIZE;
    }
    for (place, (pid, sm)) in processes.into_iter().enumerate() {
        let sample = ProcessUtilization { pid, timestamp, sm, memory: 0, encoder: 0, decoder: 0 };
        // SAFETY: there is room, as was just checked.
        unsafe { samples.add(place).write(sample) };
    }
    SUCCESS
}
