// Constants of simd.h that must be loads, not immediates.
#include "simd.h"

namespace glimt {

const ExpConstants kExp = {
    -86.0f,          88.0f,           1.44269504089f,  12582912.0f,     0.693359375f,
    -2.12194440e-4f, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
    1.6666665459e-1f, 5.0000001201e-1f, 1.0f,
};

const Exp2Constants kExp2 = {
    -126.0f,         12582912.0f,     1.3264727e-3f, 9.671513e-3f,
    5.5507336e-2f, 0.24022242f, 0.69314700f, 1.0f,
};

const Constant kUpperHalf = __builtin_bit_cast(float, 0xffff0000u);

const HalfConstants kHalf = {__builtin_bit_cast(float, 0x8fff8fffu), 0x1p112f,
                             __builtin_bit_cast(float, 0x0f7fffffu), __builtin_bit_cast(float, 0x7fc00000u)};

// Cephes, ndtrf.c.
const ErfcConstants kErfc = {
    1.0f,
    2.0f,
    0.5f,
    -0.70710678118654752f,
    {7.853861353153693e-5f, -8.010193625184903e-4f, 5.188327685732524e-3f, -2.685381193529856e-2f, 1.128358514861418e-1f,
     -3.761262582423300e-1f, 1.128379165726710f},
    {2.326819970068386e-2f, -1.387039388740657e-1f, 3.687424674597105e-1f, -5.824733027278666e-1f, 6.210004621745983e-1f,
     -4.944515323274145e-1f, 3.404879937665872e-1f, -2.741127028184656e-1f, 5.638259427386472e-1f},
    {-1.047766399936249e1f, 1.297719955372516e1f, -7.495518717768503f, 2.921019019210786f, -1.015265279202700f,
     4.218463358204948e-1f, -2.820767439740514e-1f, 5.641895067754075e-1f},
};

}  // namespace glimt
