// Choosing the instruction set.
#include <doctest/doctest.h>
#include <bit/backend/cpu/isa/dispatch.hpp>
#include <bit/error.hpp>

#include "random_data.hpp"

TEST_CASE("the best instruction set is the default, BIT_ISA pins another") {
  const auto isas = bit::available_isas();
  REQUIRE(isas.front() == "scalar");
  CHECK(bit::detail::name_of(bit::detail::default_instruction_set()) == isas.back());
  for (const std::string& isa : isas) {
    const test::pinned_isa pin(isa);
    CHECK(bit::detail::name_of(bit::detail::default_instruction_set()) == isa);
  }
}

TEST_CASE("an unknown instruction set is refused with the known ones") {
  const test::pinned_isa pin("sse9");
  CHECK_THROWS_WITH_AS(bit::detail::default_instruction_set(), doctest::Contains("scalar"), bit::config_error);
}
