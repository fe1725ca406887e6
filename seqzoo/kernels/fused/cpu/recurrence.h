// Included by every generated recurrence: vectorisable functions, products with packed weights, and threads over rows.
// REAL is float or double. The headers of C++ are not included: reading them would take as long as compiling most steps.
#include <pthread.h>
#include <stdlib.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define INLINE static inline __attribute__((always_inline))

typedef REAL Vector __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
constexpr long LANES = BYTES / sizeof(REAL);
// Columns of a weight that are processed together.
constexpr long PANEL = 2 * LANES;
// Rows that are processed together: as many as there are registers for their sums.
constexpr int MOST_ROWS = BYTES == 64 ? 12 : 6;

// Cephes: exp(x) = 2^n exp(r), |r| <= log(2) / 2, within 2 units in the last place; written without branches, so that
// compilers turn loops over it into vector instructions.
INLINE float exp_(float x) {
    const float n = __builtin_rintf(x * 1.44269504088896341f);
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    // 2^n as two factors, because n may exceed the range of one exponent.
    const int whole = (int)(n < -250.0f ? -250.0f : n > 250.0f ? 250.0f : n);
    const int half = whole >> 1;
    const int low_bits = (half + 127) << 23, high_bits = (whole - half + 127) << 23;
    float low, high;
    __builtin_memcpy(&low, &low_bits, sizeof low);
    __builtin_memcpy(&high, &high_bits, sizeof high);
    y = y * low * high;
    y = x > 88.8f ? __builtin_inff() : y;
    return x < -104.0f ? 0.0f : y;
}

INLINE double exp_(double x) { return __builtin_exp(x); }

INLINE float tanh_(float x) {
    const float size = __builtin_fabsf(x), square = x * x;
    float near = -5.70498872745e-3f;
    near = near * square + 2.06390887954e-2f;
    near = near * square - 5.37397155531e-2f;
    near = near * square + 1.33314422036e-1f;
    near = near * square - 3.33332819422e-1f;
    near = near * square * x + x;
    const float far = 1.0f - 2.0f / (exp_(2.0f * size) + 1.0f);
    return size < 0.625f ? near : __builtin_copysignf(far, x);
}

INLINE double tanh_(double x) { return __builtin_tanh(x); }

INLINE REAL sigmoid_(REAL x) { return REAL(1) / (REAL(1) + exp_(-x)); }

// Cephes: log(1 + x) where 0 <= x <= 1
INLINE float log1p_(float x) {
    const float sum = 1.0f + x;
    const bool large = sum > 1.41421356237309504880f;
    const float r = large ? 0.5f * sum - 1.0f : sum - 1.0f, square = r * r;
    float y = 7.0376836292e-2f;
    y = y * r - 1.1514610310e-1f;
    y = y * r + 1.1676998740e-1f;
    y = y * r - 1.2420140846e-1f;
    y = y * r + 1.4249322787e-1f;
    y = y * r - 1.6668057665e-1f;
    y = y * r + 2.0000714765e-1f;
    y = y * r - 2.4999993993e-1f;
    y = y * r + 3.3333331174e-1f;
    y = y * r * square - 0.5f * square + r;
    y = large ? y + 0.693147180559945f : y;
    // Corrects the rounding of 1 + x for small x.
    return sum == 1.0f ? x : y * (x / (sum - 1.0f));
}

INLINE double log1p_(double x) { return __builtin_log1p(x); }

// log(1 / (1 + exp(-x)))
INLINE REAL log_sigmoid_(REAL x) { return (x < REAL(0) ? x : REAL(0)) - log1p_(exp_(x < REAL(0) ? x : -x)); }

INLINE float abs_(float x) { return __builtin_fabsf(x); }
INLINE double abs_(double x) { return __builtin_fabs(x); }
INLINE float sqrt_(float x) { return __builtin_sqrtf(x); }
INLINE double sqrt_(double x) { return __builtin_sqrt(x); }
INLINE float log_(float x) { return __builtin_logf(x); }
INLINE double log_(double x) { return __builtin_log(x); }
INLINE float erf_(float x) { return __builtin_erff(x); }
INLINE double erf_(double x) { return __builtin_erf(x); }
INLINE float sin_(float x) { return __builtin_sinf(x); }
INLINE double sin_(double x) { return __builtin_sin(x); }
INLINE float cos_(float x) { return __builtin_cosf(x); }
INLINE double cos_(double x) { return __builtin_cos(x); }

// Zeros, freed at the end of the scope.
template <class Number>
struct Array {
    Number* const numbers;

    explicit Array(long size) : numbers((Number*)calloc(size > 0 ? size : 1, sizeof(Number))) {
        if (!numbers) abort();
    }
    Array(const Array&) = delete;
    ~Array() { free(numbers); }
    Number& operator[](long index) const { return numbers[index]; }
};

static inline void copy(const REAL* from, long count, REAL* to) { __builtin_memcpy(to, from, count * sizeof(REAL)); }

static inline void swap(REAL*& left, REAL*& right) {
    REAL* const before = left;
    left = right;
    right = before;
}

INLINE long padded(long columns) { return (columns + PANEL - 1) / PANEL * PANEL; }

// A weight (K, N), packed as panels (K, PANEL); the last panel is filled with zeros.
struct Packed {
    long K, N;
    Array<REAL> numbers;

    Packed(const REAL* weight, long K, long N, long row_stride, long column_stride)
        : K(K), N(N), numbers(K * padded(N)) {
        for (long start = 0; start < N; start += PANEL) {
            REAL* panel = &numbers[start * K];
            const long width = N - start < PANEL ? N - start : PANEL;
            for (long k = 0; k < K; k++)
                for (long j = 0; j < width; j++)
                    panel[k * PANEL + j] = weight[k * row_stride + (start + j) * column_stride];
        }
    }
};

// M rows times P panels; all sums stay in registers.
template <int M, int P>
static void tile(const REAL* a, long a_stride, long K, const REAL* panel, REAL* c, long c_stride) {
    Vector sums[M][2 * P] = {};
    for (long k = 0; k < K; k++)
        for (int p = 0; p < P; p++) {
            const Vector* b = (const Vector*)(panel + (p * K + k) * PANEL);
            const Vector left = b[0], right = b[1];
            for (int m = 0; m < M; m++) {
                const REAL factor = a[m * a_stride + k];
                sums[m][2 * p] += factor * left;
                sums[m][2 * p + 1] += factor * right;
            }
        }
    for (int m = 0; m < M; m++)
        for (int p = 0; p < 2 * P; p++) *(Vector*)(c + m * c_stride + p * LANES) = sums[m][p];
}

typedef void (*Tile)(const REAL*, long, long, const REAL*, REAL*, long);

template <int M = 1>
static Tile tile_of(long rows) {
    if constexpr (M < MOST_ROWS)
        if (rows > M) return tile_of<M + 1>(rows);
    return tile<M, 1>;
}

// (rows, K) times (K, N); c has padded(N) numbers per row.
static void multiply(long rows, const REAL* a, long a_stride, const Packed& b, REAL* c, long c_stride) {
    const long end = padded(b.N);
    long start = 0;
    // A single row is multiplied with four panels at once, so that additions need not wait for each other.
    if (rows == 1)
        for (; start + 4 * PANEL <= end; start += 4 * PANEL)
            tile<1, 4>(a, a_stride, b.K, &b.numbers[start * b.K], c + start, c_stride);
    if (rows == 2 || rows == 3)
        for (; start + 2 * PANEL <= end; start += 2 * PANEL)
            (rows == 2 ? tile<2, 2> : tile<3, 2>)(a, a_stride, b.K, &b.numbers[start * b.K], c + start, c_stride);
    const long blocks = (rows + MOST_ROWS - 1) / MOST_ROWS;
    for (; start < end; start += PANEL) {
        // The panel stays in the cache for all rows.
        const REAL* panel = &b.numbers[start * b.K];
        for (long i = 0; i < blocks; i++) {
            const long row = rows * i / blocks, some = rows * (i + 1) / blocks - row;
            tile_of(some)(a + row * a_stride, a_stride, b.K, panel, c + row * c_stride + start, c_stride);
        }
    }
}

// n: sizes; order: rows by length, longest first; starts: the first step of each row in buffers without padding.
struct Call {
    long rows, steps, threads;
    const long *n, *strides, *lengths, *order, *starts;
    REAL** buffers;
    const Packed* packed;
};

// The rows of one thread: every `threads`-th one, so that each thread has long and short rows.
struct Share {
    Array<long> rows, lengths;
    long count = 0;

    Share(const Call& call, long thread) : rows(call.rows), lengths(call.rows) {
        for (long i = thread; i < call.rows; i += call.threads) {
            rows[count] = call.order[i];
            lengths[count++] = call.lengths[call.order[i]];
        }
    }
    long longest() const { return count ? lengths[0] : 0; }
};

// GOMP_parallel of the OpenMP library that torch has loaded: calls a function on several threads, and returns when all of
// them have.
typedef void (*Parallel)(void (*)(void*), void*, unsigned, unsigned);

// Which thread takes which share does not matter, so fewer threads than shares are enough.
template <class Work>
struct Shares {
    const Work& work;
    const long count;
    long next = 0;

    static void* run(void* shares) {
        Shares& all = *(Shares*)shares;
        for (long share; (share = __atomic_fetch_add(&all.next, 1, __ATOMIC_RELAXED)) < all.count;) all.work(share);
        return nullptr;
    }
    static void run_parallel(void* shares) { run(shares); }
};

// parallel: null starts threads at each call.
template <class Work>
static void on_threads(Parallel parallel, long threads, const Work& work) {
    Shares<Work> shares{work, threads};
    if (parallel && threads > 1) {
        // The threads of torch's own operations, which may still be spinning: others would have to share their cores.
        parallel(Shares<Work>::run_parallel, &shares, threads, 0);
        return;
    }
    Array<pthread_t> others(threads);
    for (long i = 1; i < threads; i++)
        if (pthread_create(&others[i], nullptr, Shares<Work>::run, &shares)) abort();
    Shares<Work>::run(&shares);
    for (long i = 1; i < threads; i++) pthread_join(others[i], nullptr);
}
