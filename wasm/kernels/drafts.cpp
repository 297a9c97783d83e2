// accept_drafts: which guesses were right, slice by slice. follow_drafts: entries of what is known of the rows behind each
// chosen one, for the drafts that are read next. A part is one slice, or one draft.
#include "kernel.h"

namespace glimt {
namespace {

int32_t* ints(const Operand& operand) { return (int32_t*)operand.data; }

Work acceptWork(const Call& call) { return {call.in[program::op_accept_drafts::in_firsts].length(), 16}; }

void accept(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  using namespace program::op_accept_drafts;
  const int32_t *tokens = call.in[in_tokens].ints(), *guesses = call.in[in_guesses].ints();
  const int32_t *rowOf = call.in[in_rowOf].ints(), *choicesOf = call.in[in_choicesOf].ints();
  int32_t *accepted = ints(call.out[out_accepted]), *rows = ints(call.out[out_rows]);
  int32_t* choices = ints(call.out[out_choices]);
  uint32_t m = call.in[in_tokens].length();
  for (uint32_t s = first; s < last; s++) {
    uint32_t at = (uint32_t)call.in[in_firsts].ints()[s];
    while (at + 1 < m && guesses[at] >= 0 && guesses[at] == tokens[at]) at++;
    accepted[s] = (int32_t)at;
    rows[s] = rowOf[at];
    choices[2 * s] = choicesOf[2 * at];
    choices[2 * s + 1] = choicesOf[2 * at + 1];
  }
}

bool checkAccept(const Call& call, BadIndex& bad) {
  using namespace program::op_accept_drafts;
  const Operand& firsts = call.in[in_firsts];
  return indicesInside(in_firsts, firsts.ints(), firsts.length(), 0, (int32_t)call.in[in_tokens].length() - 1, bad);
}

Work followWork(const Call& call) {
  using namespace program::op_follow_drafts;
  return {call.in[in_of].length(), 16.0 + call.in[in_cosOf].cols};
}

void follow(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  using namespace program::op_follow_drafts;
  uint32_t bytes = call.in[in_cosOf].cols * sizeof(float);
  for (uint32_t i = first; i < last; i++) {
    uint32_t draft = (uint32_t)call.in[in_of].ints()[i];
    uint32_t at = (uint32_t)call.in[in_chosen].ints()[draft];
    ints(call.out[out_ids])[i] = call.in[in_drafts].ints()[draft];
    ints(call.out[out_accepted])[i] = (int32_t)at;
    ints(call.out[out_slots])[i] = call.in[in_slotOf].ints()[at];
    ints(call.out[out_lengths])[i] = call.in[in_lengthOf].ints()[at];
    for (uint32_t c = 0; c < 2; c++) ints(call.out[out_choices])[2 * i + c] = call.in[in_choicesOf].ints()[2 * at + c];
    __builtin_memmove(call.out[out_cos].row(i), call.in[in_cosOf].row(at), bytes);
    __builtin_memmove(call.out[out_sin].row(i), call.in[in_sinOf].row(at), bytes);
  }
}

bool checkFollow(const Call& call, BadIndex& bad) {
  using namespace program::op_follow_drafts;
  const Operand &of = call.in[in_of], &chosen = call.in[in_chosen];
  return indicesInside(in_of, of.ints(), of.length(), 0, (int32_t)chosen.length() - 1, bad) &&
         indicesInside(in_chosen, chosen.ints(), chosen.length(), 0, (int32_t)call.in[in_slotOf].length() - 1, bad);
}

}  // namespace

const Kernel kAcceptDrafts = {{{acceptWork, accept}}, nullptr, checkAccept};
const Kernel kFollowDrafts = {{{followWork, follow}}, nullptr, checkFollow};

}  // namespace glimt
