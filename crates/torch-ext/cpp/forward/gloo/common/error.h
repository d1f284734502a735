// libtorch's headers include Gloo's, which its packages lack. The declarations in this folder are enough for them: here
// only shared pointers to these types are passed on.
#pragma once
