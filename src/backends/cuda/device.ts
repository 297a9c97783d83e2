/** What the addon needs of a device, and how a device is described. */
import type { CudaAddon, DeviceInfo } from "./addon.ts";

/** CUDA 13, as the driver counts: 1000 * major + 10 * minor. */
const LEAST_DRIVER = 13000;
/** Compute capability of the oldest architecture the kernels are compiled for (Ampere). */
const LEAST_MAJOR = 8;
/** The CUDA context, the kernels and a tiny model. */
const LEAST_FREE_BYTES = 512 * 2 ** 20;

/** Why a device can not be used and what to do, or null. The emulator has no device to ask of. */
export function refuseDevice(kind: CudaAddon["kind"], device: DeviceInfo): string | null {
  if (kind === "emulator") return null;
  const { name, driverVersion, major, minor, freeBytes, totalBytes } = device;
  if (driverVersion < LEAST_DRIVER) {
    return `The NVIDIA driver is for CUDA ${formatVersion(driverVersion)}, and CUDA ${formatVersion(LEAST_DRIVER)} is needed: update the driver to 580 or newer.`;
  }
  if (major < LEAST_MAJOR) {
    return `${name} has compute capability ${major}.${minor}, and ${LEAST_MAJOR}.0 (Ampere) is needed: use a newer GPU.`;
  }
  if (freeBytes < LEAST_FREE_BYTES) {
    return `${name} has ${formatGib(freeBytes)} of ${formatGib(totalBytes)} free, and at least ${formatGib(LEAST_FREE_BYTES)} is needed: end what else uses it (nvidia-smi lists it), or choose another device.`;
  }
  return null;
}

/** One line, with what to do where something that is not necessary is missing. */
export function describeDevice(device: DeviceInfo): string {
  const { name, driverVersion, major, minor, freeBytes, totalBytes, missingCublas } = device;
  const memory = `${formatGib(freeBytes)} of ${formatGib(totalBytes)} free`;
  if (driverVersion === 0) return `${name}, ${memory}`;
  const cublas = missingCublas
    ? `no cuBLASLt (${missingCublas}): large products use glimt's own kernels; install cuBLAS 13, or name its file in GLIMT_CUBLASLT`
    : "cuBLASLt";
  return `${name}, compute capability ${major}.${minor}, ${memory}, driver for CUDA ${formatVersion(driverVersion)}, ${cublas}`;
}

function formatVersion(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}

function formatGib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
