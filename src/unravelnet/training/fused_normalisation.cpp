// Batch normalisation in training, with or without a ReLU behind it: two passes over the values forwards and two
// backwards, on several threads. Values are channels last, [images x pixels, channels], as bfloat16 or float32;
// sums, statistics and parameters are float32. Reasons and shapes are told in fused_normalisation.py.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <vector>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

typedef float Vector __attribute__((vector_size(64)));
typedef uint32_t Bits __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
constexpr int64_t kLanes = 16;     // values of a vector
constexpr int64_t kVectors = 4;    // vectors of a tile
constexpr int64_t kTile = kLanes * kVectors;
constexpr int64_t kRows = 256;     // rows that are summed in float32 before doubles take over

// A bfloat16 is the upper half of a float32.
inline Vector load(const uint16_t* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return (Vector)(__builtin_convertvector(halves, Bits) << 16);
}

inline Vector load(const float* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

inline float load_one(const uint16_t* from) {
  const uint32_t bits = static_cast<uint32_t>(*from) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float load_one(const float* from) { return *from; }

// Rounds to nearest, ties to even; NaN stays NaN, since its upper half keeps a bit of the mantissa.
inline void store(uint16_t* to, Vector vector) {
  Bits bits = (Bits)vector;
  Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  Bits is_nan = (Bits)(vector != vector);
  Halves halves = __builtin_convertvector((is_nan & 0x7fc0u) | (~is_nan & rounded), Halves);
  std::memcpy(to, &halves, sizeof halves);
}

inline void store(float* to, Vector vector) { std::memcpy(to, &vector, sizeof vector); }

// What belongs to the channels of one tile; repeated where there are fewer channels than places.
struct Tile {
  Vector at[kVectors];
  Tile(const float* of_channels, int64_t n_channels, int64_t first) {
    float values[kTile];
    for (int64_t place = 0; place < kTile; ++place) values[place] = of_channels[(first + place) % n_channels];
    std::memcpy(at, values, sizeof values);
  }
};

// The values as rows of one or more tiles, so that few channels are as fast as many.
struct Layout {
  int64_t n_channels, n_values, width, n_rows, n_tiles, n_chunks;
  explicit Layout(const Tensor& x)
      : n_channels(x.size(1)),
        n_values(x.numel() / n_channels),
        width(std::max(n_channels, kTile)),
        n_rows(x.numel() / width),
        n_tiles(width / kTile),
        n_chunks((n_rows + kRows - 1) / kRows) {}

  // Call visit(block, first row, end row, first column) for all blocks, on several threads.
  template <class Visit>
  void each(const Visit& visit) const {
    at::parallel_for(0, n_chunks * n_tiles, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        int64_t first = block / n_tiles * kRows;
        visit(block, first, std::min(n_rows, first + kRows), block % n_tiles * kTile);
      }
    });
  }

  // Write make(tiles, vector, position) to every place of `to`.
  template <class T, class Prepare, class Make>
  void map(T* to, const Prepare& prepare, const Make& make) const {
    each([&](int64_t, int64_t first, int64_t end, int64_t column) {
      const auto tiles = prepare(column);
      for (int64_t row = first; row < end; ++row) {
        for (int64_t vector = 0; vector < kVectors; ++vector) {
          int64_t place = row * width + column + kLanes * vector;
          store(to + place, make(tiles, vector, place));
        }
      }
    });
  }

  // Sum two quantities over the values of each channel. The order of the sums does not depend on the threads.
  template <class Prepare, class Make>
  void sum(float* first_sums, float* second_sums, const Prepare& prepare, const Make& make) const {
    std::vector<float> partial(n_chunks * n_tiles * 2 * kTile);
    each([&](int64_t block, int64_t first, int64_t end, int64_t column) {
      const auto tiles = prepare(column);
      Vector one[kVectors] = {}, two[kVectors] = {};
      for (int64_t row = first; row < end; ++row) {
        for (int64_t vector = 0; vector < kVectors; ++vector) {
          const auto [a, b] = make(tiles, vector, row * width + column + kLanes * vector);
          one[vector] += a;
          two[vector] += b;
        }
      }
      std::memcpy(&partial[block * 2 * kTile], one, sizeof one);
      std::memcpy(&partial[block * 2 * kTile + kTile], two, sizeof two);
    });
    std::vector<double> totals(2 * n_channels, 0.0);
    for (int64_t block = 0; block < n_chunks * n_tiles; ++block) {
      for (int64_t place = 0; place < kTile; ++place) {
        int64_t channel = (block % n_tiles * kTile + place) % n_channels;
        totals[channel] += partial[block * 2 * kTile + place];
        totals[n_channels + channel] += partial[block * 2 * kTile + kTile + place];
      }
    }
    for (int64_t channel = 0; channel < n_channels; ++channel) {
      first_sums[channel] = static_cast<float>(totals[channel]);
      second_sums[channel] = static_cast<float>(totals[n_channels + channel]);
    }
  }
};

// What the backward pass needs to know of each channel, a row of one tensor each.
struct Statistics {
  float *scale, *shift, *mean, *inverse_deviation;
  Statistics(const Tensor& kept, int64_t n_channels)
      : scale(kept.data_ptr<float>()),
        shift(scale + n_channels),
        mean(shift + n_channels),
        inverse_deviation(mean + n_channels) {}
};

struct Affine {
  Tile scale, shift;
};
struct AffineAndMean {
  Tile scale, shift, mean;
};
struct Backward {
  Tile scale, shift, slope, offset;
};

// Where the ReLU is shut; a NaN passes, as it does in torch.
template <bool relu>
inline Vector opened(Vector gradient, Vector value) {
  const Vector zero = {};
  return relu ? (value <= zero ? zero : gradient) : gradient;
}

template <class T, bool relu>
void normalise(const T* x, T* y, const Layout& layout, const float* weight, const float* bias, float* running_mean,
               float* running_var, float momentum, float eps, Statistics kept) {
  const int64_t n_channels = layout.n_channels;
  const float n = static_cast<float>(layout.n_values);
  std::vector<float> centres(n_channels), deviations(n_channels), squares(n_channels);
  // Distances from one of the values, which is near their mean: squares of the values themselves would cancel.
  for (int64_t channel = 0; channel < n_channels; ++channel) centres[channel] = load_one(x + channel);
  layout.sum(
      deviations.data(), squares.data(), [&](int64_t column) { return Tile(centres.data(), n_channels, column); },
      [&](const Tile& centre, int64_t vector, int64_t place) {
        Vector deviation = load(x + place) - centre.at[vector];
        return std::make_pair(deviation, deviation * deviation);
      });
  for (int64_t channel = 0; channel < n_channels; ++channel) {
    const float deviation = deviations[channel] / n;
    // Not std::max, which would make a number of NaN.
    const double difference = squares[channel] / n - static_cast<double>(deviation) * deviation;
    const float variance = difference < 0 ? 0.0f : static_cast<float>(difference);
    kept.mean[channel] = centres[channel] + deviation;
    kept.inverse_deviation[channel] = 1 / std::sqrt(variance + eps);
    kept.scale[channel] = weight[channel] * kept.inverse_deviation[channel];
    kept.shift[channel] = bias[channel] - kept.mean[channel] * kept.scale[channel];
    running_mean[channel] += momentum * (kept.mean[channel] - running_mean[channel]);
    running_var[channel] += momentum * (variance * n / (n - 1) - running_var[channel]);
  }
  layout.map(
      y,
      [&](int64_t column) {
        return Affine{Tile(kept.scale, n_channels, column), Tile(kept.shift, n_channels, column)};
      },
      [&](const Affine& tiles, int64_t vector, int64_t place) {
        Vector value = load(x + place) * tiles.scale.at[vector] + tiles.shift.at[vector];
        return opened<relu>(value, value);
      });
}

template <class T, bool relu>
void normalise_backward(const T* gradient, const T* x, T* gradient_of_x, const Layout& layout, Statistics kept,
                        float* gradient_of_weight, float* gradient_of_bias) {
  const int64_t n_channels = layout.n_channels;
  const float n = static_cast<float>(layout.n_values);
  layout.sum(
      gradient_of_bias, gradient_of_weight,
      [&](int64_t column) {
        return AffineAndMean{Tile(kept.scale, n_channels, column), Tile(kept.shift, n_channels, column),
                             Tile(kept.mean, n_channels, column)};
      },
      [&](const AffineAndMean& tiles, int64_t vector, int64_t place) {
        Vector value = load(x + place);
        Vector passed =
            opened<relu>(load(gradient + place), value * tiles.scale.at[vector] + tiles.shift.at[vector]);
        return std::make_pair(passed, passed * (value - tiles.mean.at[vector]));
      });
  // dx = scale (dy - mean(dy) - x^ mean(dy x^)) is affine in dy and x, channel by channel.
  std::vector<float> slope(n_channels), offset(n_channels);
  for (int64_t channel = 0; channel < n_channels; ++channel) {
    const float scale = kept.scale[channel], inverse = kept.inverse_deviation[channel];
    gradient_of_weight[channel] *= inverse;
    slope[channel] = -scale * inverse * gradient_of_weight[channel] / n;
    offset[channel] = -scale * gradient_of_bias[channel] / n - slope[channel] * kept.mean[channel];
  }
  layout.map(
      gradient_of_x,
      [&](int64_t column) {
        return Backward{Tile(kept.scale, n_channels, column), Tile(kept.shift, n_channels, column),
                        Tile(slope.data(), n_channels, column), Tile(offset.data(), n_channels, column)};
      },
      [&](const Backward& tiles, int64_t vector, int64_t place) {
        Vector value = load(x + place);
        Vector passed =
            opened<relu>(load(gradient + place), value * tiles.scale.at[vector] + tiles.shift.at[vector]);
        return tiles.scale.at[vector] * passed + value * tiles.slope.at[vector] + tiles.offset.at[vector];
      });
}

template <class T>
T* values_of(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

// Call run with a value of the storage type and whether there is a ReLU, both known when this is compiled.
template <class Run>
void dispatch(const Tensor& x, bool relu, const Run& run) {
  const bool is_half = x.scalar_type() == at::kBFloat16;
  TORCH_CHECK(is_half || x.scalar_type() == at::kFloat, "values are bfloat16 or float32, not ", x.scalar_type());
  if (is_half && relu) return run(uint16_t(), std::true_type());
  if (is_half) return run(uint16_t(), std::false_type());
  if (relu) return run(float(), std::true_type());
  return run(float(), std::false_type());
}

void check(const Tensor& x, const std::vector<Tensor>& of_channels) {
  TORCH_CHECK(x.dim() == 4 && x.device().is_cpu(), "values are [images, channels, height, width] on the CPU");
  const int64_t n_channels = x.size(1);
  TORCH_CHECK(n_channels > 0 && (kTile % n_channels == 0 || n_channels % kTile == 0) && x.numel() % kTile == 0 &&
                  x.numel() > n_channels,
              "channels divide ", kTile, " or are a multiple of it, and there is more than one value of each");
  for (const Tensor& tensor : of_channels) {
    TORCH_CHECK(tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous() &&
                    tensor.sizes() == at::IntArrayRef({n_channels}),
                "parameters and statistics are contiguous float32, one value a channel");
  }
}

struct BatchNorm : torch::autograd::Function<BatchNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& given, const Tensor& weight, const Tensor& bias,
                        const Tensor& running_mean, const Tensor& running_var, double momentum, double eps, bool relu) {
    check(given, {weight, bias, running_mean, running_var});
    const Tensor x = given.contiguous(at::MemoryFormat::ChannelsLast);
    const Layout layout(x);
    Tensor y = at::empty_like(x);
    Tensor kept = at::empty({4, layout.n_channels}, weight.options());
    dispatch(x, relu, [&](auto type, auto with_relu) {
      using T = decltype(type);
      normalise<T, decltype(with_relu)::value>(
          values_of<T>(x), values_of<T>(y), layout, weight.data_ptr<float>(), bias.data_ptr<float>(),
          running_mean.data_ptr<float>(), running_var.data_ptr<float>(), static_cast<float>(momentum),
          static_cast<float>(eps), Statistics(kept, layout.n_channels));
    });
    context->save_for_backward({x, kept});
    context->saved_data["relu"] = relu;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "fused normalisation has no second derivative; use the plain layers");
    const variable_list saved = context->get_saved_variables();
    const Tensor x = saved[0], kept = saved[1];
    const Tensor gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const Layout layout(x);
    Tensor of_x = at::empty_like(x);
    Tensor of_weight = at::empty({layout.n_channels}, kept.options()), of_bias = at::empty_like(of_weight);
    dispatch(x, context->saved_data["relu"].toBool(), [&](auto type, auto with_relu) {
      using T = decltype(type);
      normalise_backward<T, decltype(with_relu)::value>(
          values_of<T>(gradient), values_of<T>(x), values_of<T>(of_x), layout, Statistics(kept, layout.n_channels),
          of_weight.data_ptr<float>(), of_bias.data_ptr<float>());
    });
    return {of_x, of_weight, of_bias, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, double momentum, double eps, bool relu) {
  return BatchNorm::apply(x, weight, bias, running_mean, running_var, momentum, eps, relu);
}

}  // namespace

TORCH_LIBRARY(unravelnet, library) {
  library.def(
      "batch_norm(Tensor x, Tensor weight, Tensor bias, Tensor(a!) running_mean, Tensor(b!) running_var, "
      "float momentum, float eps, bool relu) -> Tensor",
      batch_norm);
}
