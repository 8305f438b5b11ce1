defmodule Sippet.Sim.LadderTest do
  use ExUnit.Case, async: true

  alias Sippet.Sim.{Ladder, Transmission}

  defp sent(at, from, to, line, fate) do
    Transmission.parse(%Transmission{
      sent_at: at,
      from: from,
      to: to,
      protocol: :udp,
      source: {{10, 0, 0, 1}, 5060},
      destination: {{10, 0, 0, 9}, 5060},
      fate: fate,
      data: """
      #{line}
      Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa
      From: <sip:a@b.example>;tag=1
      To: <sip:b@b.example>
      Call-ID: a
      CSeq: 1 INFO

      """
    })
  end

  test "a message is an arrow between its stacks, past others, with what became of it" do
    ladder =
      Ladder.draw([:a, :b, :c], [
        sent(0, :a, :b, "INFO sip:b SIP/2.0", {:arrives, [5]}),
        sent(5, :b, :c, "INFO sip:b SIP/2.0", {:arrives, [10, 12]}),
        sent(10, :c, :a, "SIP/2.0 200 OK", :lost),
        sent(500, :c, :c, "SIP/2.0 200 OK", {:arrives, [500]}),
        sent(1_000, :a, nil, "INFO sip:b SIP/2.0", :nowhere),
        sent(123_456, :c, :b, "SIP/2.0 200 O\e[1mK", {:refused, :econnrefused})
      ])

    # What would colour the terminal does not get there.
    assert ladder ==
             """
                       :a                         :b                         :c
                    0  |-- INFO sip:b ----------->|                          |  5
                    5  |                          |-- INFO sip:b ----------->|  10 12
                   10  |x- 200 OK (INFO) ------------------------------------|  lost
                  500  |                          |<- 200 OK (INFO) ---------|  500  to itself
                 1000  |-- INFO sip:b -----------x|                          |  nobody is at 10.0.0.9 port 5060
               123456  |                          |x- 200 O\\x1B[1mK (INFO) --|  econnrefused
             """
  end
end
