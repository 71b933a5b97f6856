// Preprocessing: conditions, macros over several lines, positions.
#include <v1model.p4>
#define WIDTH 8
#define FIELD(type, name) type name;
#define FIELDS(w) FIELD(bit<w>, first) \
                  FIELD(bit<w>, second)
#define TEXT(x) #x
#define JOIN(a, b) a ## b
#if WIDTH > 4 && defined(FIELD) && !defined(NEVER)
header H { FIELDS(WIDTH) bit<WIDTH> JOIN(th, ird); }
#else
this is not parsed, isn't it
#endif
const bit<32> shifted = 32w1 << WIDTH >> 2;
@name(TEXT(a  b)) const bit<32> line = __LINE__;
typedef tuple<tuple<bit<WIDTH>>> nested;
@pragma keep me // as an annotation
const int after_pragma = 1;
