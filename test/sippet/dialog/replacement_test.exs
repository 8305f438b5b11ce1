defmodule Sippet.Dialog.ReplacementTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Call, only: [parse: 1, uac: 1, uas: 1]

  alias Sippet.{Dialog, DialogError, Message}

  # An INVITE from a third one, who takes over or joins the call.
  defp invite(field, values, method \\ "INVITE") do
    lines = Enum.map_join(List.wrap(values), "", &"#{field}: #{&1}\r\n")

    parse("""
    #{method} sip:alice@client.atlanta.example SIP/2.0
    Via: SIP/2.0/UDP client.chicago.example;branch=z9hG4bKc
    From: Carol <sip:carol@chicago.example>;tag=c-tag
    To: <sip:alice@atlanta.example>
    Call-ID: other@chicago.example
    CSeq: 1 #{method}
    #{lines}
    """)
  end

  # To-tag is Alice's own, from-tag that of Bob: seen from who gets the INVITE (RFC 3891 §3).
  @alice "one@atlanta.example;to-tag=a-tag;from-tag=b-tag"
  @bob "one@atlanta.example;to-tag=b-tag;from-tag=a-tag"

  defp replaced(dialogs, values), do: Dialog.find_replaced(dialogs, invite("Replaces", values))

  describe "Replaces (RFC 3891)" do
    test "means the dialog whose Call-ID, local and remote tag it has" do
      dialog = uac(200)
      other = %{dialog | local_tag: "else"}
      assert replaced([other, dialog], @alice) == {:ok, dialog}
      assert replaced([uas(200)], @bob) == {:ok, uas(200)}

      for value <- [@bob, String.replace(@alice, "one", "two"), @alice <> "x"] do
        assert {:error, %DialogError{reason: :no_dialog, header: "Replaces", status_code: 481}} =
                 replaced([dialog], value)
      end
    end

    test "that is not there means none" do
      assert Dialog.find_replaced([uac(200)], invite("X-Other", @alice)) == :none
    end

    test "takes away an early dialog of the calling side, not one that rings at the called side" do
      assert replaced([uac(180)], @alice) == {:ok, uac(180)}
      assert replaced([uac(180)], @alice <> ";early-only") == {:ok, uac(180)}

      assert {:error, %DialogError{reason: :no_dialog, status_code: 481}} =
               replaced([uas(180)], @bob)
    end

    test "for an early dialog only earns 486 for one that is answered" do
      for flag <- [";early-only", ";EARLY-ONLY", "; early-only", ";x=1;early-only"] do
        assert {:error, %DialogError{reason: :confirmed, status_code: 486}} =
                 replaced([uac(200)], @alice <> flag)
      end
    end

    test "for a dialog that has ended earns 603" do
      assert {:error, %DialogError{reason: :terminated, status_code: 603}} =
               replaced([Dialog.terminate(uac(200))], @alice)
    end

    test "for a dialog that is no call earns 481" do
      assert {:error, %DialogError{reason: :no_dialog, status_code: 481}} =
               replaced([%{uac(200) | method: :subscribe}], @alice)
    end

    test "that is repeated, malformed, beside a Join or in another method earns 400" do
      for values <- [
            [@alice, @alice],
            "#{@alice}, #{@alice}",
            "one@atlanta.example",
            "one@atlanta.example;to-tag=a-tag",
            "one@atlanta.example;from-tag=b-tag",
            "one@atlanta.example;to-tag=;from-tag=b-tag",
            "one@atlanta.example;to-tag;from-tag=b-tag",
            ";to-tag=a-tag;from-tag=b-tag",
            @alice <> ";to-tag=a-tag",
            @alice <> ";from-tag=b-tag",
            "one@atlanta.example;x=\";to-tag=a-tag;from-tag=b-tag\""
          ] do
        assert {^values, {:error, %DialogError{reason: :malformed, status_code: 400}}} =
                 {values, replaced([uac(200)], values)}
      end

      both = Message.put_header(invite("Replaces", @alice), "Join", [@alice])

      assert {:error, %DialogError{reason: :malformed, header: "Replaces", status_code: 400}} =
               Dialog.find_replaced([uac(200)], both)

      assert {:error, %DialogError{reason: :malformed, header: "Join", status_code: 400}} =
               Dialog.find_joined([uac(200)], both)

      assert {:error, %DialogError{reason: :not_an_invite, status_code: 400}} =
               Dialog.find_replaced([uac(200)], invite("Replaces", @alice, "OPTIONS"))
    end

    test "is read with white space, in any case of its names, and with parameters that nobody knows" do
      for value <- [
            "one@atlanta.example ; To-Tag = a-tag\t;\tFROM-TAG=b-tag",
            "one@atlanta.example;from-tag=b-tag;to-tag=a-tag",
            @alice <> ";x;y=z;q=\"a;to-tag=\\\"b\""
          ] do
        assert {value, replaced([uac(200)], value)} == {value, {:ok, uac(200)}}
      end

      assert Dialog.find_replaced([uac(200)], invite("REPLACES", @alice)) == {:ok, uac(200)}
    end

    test "has 0 for a tag that is missing or 0, and means none where it fits several" do
      zero = "one@atlanta.example;to-tag=a-tag;from-tag=0"
      null = %{uac(200) | remote_tag: nil}
      literal = %{uac(200) | remote_tag: "0"}
      assert replaced([uac(200), null], zero) == {:ok, null}
      assert replaced([uac(200), literal], zero) == {:ok, literal}

      assert {:error, %DialogError{reason: :no_dialog, status_code: 481}} =
               replaced([null, literal], zero)

      assert Dialog.build_replaces(%{uas(200) | remote_tag: nil}) ==
               "one@atlanta.example;to-tag=0;from-tag=b-tag"
    end

    test "is written so that the other end finds the dialog" do
      for {ours, theirs} <- [{uac(200), uas(200)}, {uas(200), uac(200)}] do
        assert replaced([ours, theirs], Dialog.build_replaces(ours)) == {:ok, theirs}
      end

      early = Dialog.build_replaces(uas(180), early_only: true)
      assert early == @alice <> ";early-only"
      assert replaced([uac(180)], early) == {:ok, uac(180)}
    end

    test "of a hostile length is judged in no time" do
      for text <- [String.duplicate(";\"", 4_000), String.duplicate("\"\\", 4_000)] do
        request = Message.put_header(invite("X", "x"), "Replaces", ["a;" <> text])

        {micros, result} = :timer.tc(fn -> Dialog.find_replaced([uac(200)], request) end)
        assert {:error, %DialogError{reason: :malformed}} = result
        assert micros < 5_000_000
      end
    end
  end

  describe "Join (RFC 3911)" do
    test "means a dialog as Replaces does, and knows no flag" do
      for value <- [@alice, @alice <> ";early-only", Dialog.build_join(uas(200))] do
        assert Dialog.find_joined([uac(200)], invite("Join", value)) == {:ok, uac(200)}
      end

      assert Dialog.find_joined([uac(180)], invite("Join", @alice)) == {:ok, uac(180)}
      assert Dialog.find_joined([uac(200)], invite("Replaces", @alice)) == :none

      for {dialog, value, reason, status_code} <- [
            {uas(180), @bob, :no_dialog, 481},
            {uas(200), @alice, :no_dialog, 481},
            {Dialog.terminate(uas(200)), @bob, :terminated, 603}
          ] do
        assert {:error, %DialogError{reason: ^reason, header: "Join", status_code: ^status_code}} =
                 Dialog.find_joined([dialog], invite("Join", value))
      end
    end
  end
end
